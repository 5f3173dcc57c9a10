/**
 * The metrics of the instances that serve by one store, and of that store as it is seen from here: away, old, large (control/instances.ts).
 * What there is not has no series, such as the bytes of a store that is elsewhere.
 */
import type { Family, Sample, Scrape } from './family.ts'

type Local = NonNullable<Scrape['instances']['local']>

const ofLocal = (scrape: Scrape, read: (local: Local) => number): Sample[] => {
  const { local } = scrape.instances
  return local === null ? [] : [{ value: read(local), labels: {} }]
}

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
    help: 'How long a store that several instances share has not been reached, or not followed; 0 while it is.',
    read: ({ instances }) => [{ value: instances.staleMs / 1_000, labels: {} }],
  },
  {
    name: 'turnout_store_away',
    type: 'gauge',
    help: '1 while the store cannot be read or written, so that nothing can be changed; else 0.',
    read: ({ instances }) => [{ value: Number(instances.isAway), labels: {} }],
  },
  {
    name: 'turnout_store_failures_total',
    type: 'counter',
    help: 'How often the store could no longer be read or written.',
    read: ({ instances }) => [{ value: instances.failures, labels: {} }],
  },
  {
    name: 'turnout_store_bytes',
    type: 'gauge',
    help: 'Bytes of the store on the disk of this machine; absent where it is elsewhere, or nowhere.',
    read: ({ instances: { bytes } }) => (bytes === null ? [] : [{ value: bytes, labels: {} }]),
  },
  {
    name: 'turnout_store_unreplicated_total',
    type: 'counter',
    help: 'Changes that no replica of the Redis had in time, though it has some: a fail-over would have lost them right then.',
    read: ({ instances }) => [{ value: instances.unreplicated, labels: {} }],
  },
  {
    name: 'turnout_snapshot_serves',
    type: 'gauge',
    help: '1 while the local snapshot of a store elsewhere is what is served, since that was away at the start; else 0.',
    read: (scrape) => ofLocal(scrape, ({ serves }) => Number(serves)),
  },
  {
    name: 'turnout_snapshot_revision',
    type: 'gauge',
    help: 'Revision in the local snapshot of a store elsewhere; 0 for none.',
    read: (scrape) => ofLocal(scrape, ({ revision }) => revision),
  },
  {
    name: 'turnout_snapshot_failures_total',
    type: 'counter',
    help: 'How often the local snapshot of a store elsewhere could not be written.',
    read: (scrape) => ofLocal(scrape, ({ failures }) => failures),
  },
]
