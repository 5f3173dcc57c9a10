/** The metrics of the instances that serve by one store (control/instances.ts). */
import type { Family } from './family.ts'

/** In the order of the exposition. */
export const INSTANCE_FAMILIES: readonly Family[] = [
  {
    name: 'turnout_instances',
    type: 'gauge',
    help: 'Instances that serve by the same store, this one included, as they were heard of last.',
    read: ({ instances }) => [{ value: instances.count, labels: {} }],
  },
  {
    name: 'turnout_store_stale_seconds',
    type: 'gauge',
    help: 'How long a store that several instances share has not been reached; 0 while it is.',
    read: ({ instances }) => [{ value: instances.staleMs / 1_000, labels: {} }],
  },
]
