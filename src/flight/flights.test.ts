import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, type TestContext, test } from 'node:test'
import { Refusal } from '../kernel/errors.ts'
import { Flights } from './flights.ts'

const STAYS = { signal: new AbortController().signal, deadlineMs: 60_000 }

/** A pilot that lands when the test says so, and remembers how often it was sent up. */
function setup(options: { maxFlights?: number } = {}) {
  const flights = new Flights<string>(options)
  const trips: { signal: AbortSignal; land: (value: string) => void; crash: (error: Error) => void }[] = []
  const pilot = ({ signal }: { signal: AbortSignal }) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    trips.push({ signal, land: resolve, crash: reject })
    return promise
  }
  return { flights, trips, board: (key = 'k') => flights.board(key, pilot) }
}

/** Nobody may be told of an error by the process itself. */
function watchUnhandled(t: TestContext): unknown[] {
  const unhandled: unknown[] = []
  const onUnhandled = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', onUnhandled)
  t.after(() => process.off('unhandledRejection', onUnhandled))
  return unhandled
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('flights', () => {
  test('everyone who asks the same gets the answer of one flight, and one of them leads', async () => {
    const { board, trips } = setup()
    const seats = [board(), board(), board()]
    const waits = seats.map((seat) => seat.wait(STAYS))
    trips[0]!.land('rows')
    assert.deepEqual(await Promise.all(waits), ['rows', 'rows', 'rows'])
    assert.deepEqual(
      seats.map((seat) => seat.leads),
      [true, false, false],
    )
    assert.equal(trips.length, 1)
  })

  test('other keys fly by themselves', () => {
    const { board, trips, flights } = setup()
    board('a')
    board('b')
    assert.equal(trips.length, 2)
    assert.equal(flights.size, 2)
  })

  test('a key is free as soon as its flight has landed', async () => {
    const { board, trips, flights } = setup()
    const wait = board().wait(STAYS)
    assert.equal(flights.has('k'), true)
    trips[0]!.land('rows')
    await wait
    assert.equal(flights.has('k'), false)
    assert.equal(board().leads, true)
  })

  test('an error reaches everyone who waits', async () => {
    const { board, trips, flights } = setup()
    const waits = [board().wait(STAYS), board().wait(STAYS)]
    trips[0]!.crash(new Error('upstream fell over'))
    for (const wait of waits) await assert.rejects(wait, /upstream fell over/)
    assert.equal(flights.size, 0)
  })

  test('an error that nobody waits for is nobody’s', async (t) => {
    const unhandled = watchUnhandled(t)
    const { board, trips, flights } = setup()
    board()
    board('left').leave()
    for (const trip of trips) trip.crash(new Error('upstream fell over'))
    await settled()
    assert.deepEqual(unhandled, [])
    assert.equal(flights.size, 0)
  })

  test('a pilot that throws before it is in the air is an error like any other', async () => {
    const flights = new Flights<string>()
    const seat = flights.board('k', () => {
      throw new Error('no engine')
    })
    await assert.rejects(seat.wait(STAYS), /no engine/)
    assert.equal(flights.size, 0)
  })

  test('who waits only after the landing gets it all the same', async () => {
    const { board, trips } = setup()
    const seat = board()
    trips[0]!.land('rows')
    await settled()
    assert.equal(await seat.wait(STAYS), 'rows')
  })

  test('one who leaves changes nothing for the others', async () => {
    const { board, trips, flights } = setup()
    const leader = new AbortController()
    const gone = board().wait({ signal: leader.signal, deadlineMs: 60_000 })
    const stays = board().wait(STAYS)
    leader.abort(new Error('client left'))
    await assert.rejects(gone, /client left/)
    assert.equal(flights.waiting('k'), 1)
    assert.equal(trips[0]!.signal.aborted, false)
    trips[0]!.land('rows')
    assert.equal(await stays, 'rows')
  })

  test('when the last one has left the pilot is called back, and a newcomer starts a new flight', async () => {
    const { board, trips, flights } = setup()
    const clients = [new AbortController(), new AbortController()]
    const waits = clients.map(({ signal }) => board().wait({ signal, deadlineMs: 60_000 }))
    for (const client of clients) client.abort(new Error('client left'))
    for (const wait of waits) await assert.rejects(wait, /client left/)
    assert.equal(trips[0]!.signal.aborted, true)
    assert.equal(flights.has('k'), false)

    const newcomer = board()
    assert.equal(newcomer.leads, true)
    trips[0]!.land('too late')
    await settled()
    assert.equal(flights.has('k'), true, 'the abandoned flight must not clear away the new one')
    trips[1]!.land('rows')
    assert.equal(await newcomer.wait(STAYS), 'rows')
  })

  test('a seat given back without waiting counts as left, once', () => {
    const { board, trips, flights } = setup()
    const [first, second] = [board(), board()]
    first.leave()
    first.leave()
    assert.equal(flights.waiting('k'), 1)
    second.leave()
    assert.equal(trips[0]!.signal.aborted, true)
  })

  test('leaving during the wait ends it', async () => {
    const { board } = setup()
    const seat = board()
    const wait = seat.wait(STAYS)
    seat.leave()
    await assert.rejects(wait, /given back/)
    await assert.rejects(seat.wait(STAYS), /given back/)
  })

  test('who has left before it waits is let go at once', async () => {
    const { board, trips } = setup()
    await assert.rejects(board().wait({ signal: AbortSignal.abort(new Error('gone')), deadlineMs: 60_000 }), /gone/)
    assert.equal(trips[0]!.signal.aborted, true)
  })

  test('everyone has a deadline of his own', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { board, trips } = setup()
    const { signal } = STAYS
    const [hasty, patient] = [board().wait({ signal, deadlineMs: 100 }), board().wait({ signal, deadlineMs: 200 })]
    t.mock.timers.tick(100)
    await assert.rejects(hasty, (error) => error instanceof Refusal && error.code === 'DEADLINE_EXCEEDED')
    assert.equal(trips[0]!.signal.aborted, false)
    trips[0]!.land('rows')
    assert.equal(await patient, 'rows')
  })

  test('the last deadline calls the pilot back', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const { board, trips } = setup()
    const wait = board().wait({ signal: STAYS.signal, deadlineMs: 100 })
    t.mock.timers.tick(100)
    await assert.rejects(wait, Refusal)
    assert.equal(trips[0]!.signal.aborted, true)
  })

  test('past its bound a newcomer flies alone, and that is counted', async () => {
    const { board, trips, flights } = setup({ maxFlights: 1 })
    board('a')
    const [alone, beside] = [board('b'), board('b')]
    assert.deepEqual([alone.leads, beside.leads], [true, true])
    assert.equal(flights.size, 1)
    assert.equal(flights.overflows, 2)
    trips[1]!.land('rows')
    assert.equal(await alone.wait(STAYS), 'rows')
    assert.equal(flights.has('a'), true)
  })

  test('a flight alone is joined by nobody, and ends with the one who is aboard', async () => {
    const { flights, board } = setup()
    const { promise, resolve } = Promise.withResolvers<AbortSignal>()
    const seat = flights.alone(({ signal }) => {
      resolve(signal)
      return new Promise<string>(() => {})
    })
    assert.deepEqual([seat.leads, flights.size, board().leads], [true, 0, true])
    const leaving = new AbortController()
    const wait = seat.wait({ signal: leaving.signal, deadlineMs: 60_000 })
    leaving.abort(new Error('left'))
    await assert.rejects(wait, /left/)
    assert.equal((await promise).aborted, true)
  })

  test('twenty thousand followers are answered by one landing, and leave nothing behind', async () => {
    const { board, trips, flights } = setup()
    const clients = Array.from({ length: 20_000 }, () => new AbortController())
    const waits = clients.map(({ signal }) => board().wait({ signal, deadlineMs: 60_000 }))
    assert.equal(flights.waiting('k'), 20_000)
    trips[0]!.land('rows')
    const rows = await Promise.all(waits)
    assert.equal(new Set(rows).size, 1)
    assert.equal(flights.size, 0)
    const listening = clients.filter(({ signal }) => getEventListeners(signal, 'abort').length > 0)
    assert.equal(listening.length, 0)
  })
})
