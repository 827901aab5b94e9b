import { fleetContract } from './fleet.contract.ts'
import { MemoryFleet } from './fleet.memory.ts'

fleetContract('memory', () => new MemoryFleet())
