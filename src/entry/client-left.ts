/** The client went away before its answer was written. Nobody is told: there is nobody left. */
export class ClientLeft extends Error {
  override readonly name = 'ClientLeft'
}
