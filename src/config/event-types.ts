/** The kinds of events there are, for who tells of them, who filters them and who asks. Pure. */
export const EVENT_TYPES = [
  'change',
  'file',
  'rollout',
  'health',
  'ejection',
  'drain',
  'hold',
  'name',
  'lookup',
  'worker',
  'store',
  'mirror',
  'upgrade',
] as const

/** The kind of an event. */
export type EventType = (typeof EVENT_TYPES)[number]
