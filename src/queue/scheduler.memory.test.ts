import { schedulerContract } from './scheduler.contract.ts'
import { MemoryScheduler } from './scheduler.memory.ts'

schedulerContract('memory', async (clock, t) => {
  const scheduler = new MemoryScheduler({ clock })
  t.after(() => scheduler.close())
  return { scheduler, process: 'here' }
})
