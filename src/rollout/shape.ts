/**
 * Shapes of plain data that somebody else has written, such as another version of Turnout.
 *
 * Each gives the place of the first thing that is not as it should be, or null. Pure.
 */
import { isRecord, own } from '../config/record.ts'

/** `at` is the place of the value. */
export type Shape = (value: unknown, at: string) => string | null

/** A shape for every key of a type, so that none that comes later is forgotten. */
export type Whole<T> = { readonly [K in keyof Required<T>]: Shape }

export const holds =
  (test: (value: unknown) => boolean): Shape =>
  (value, at) =>
    test(value) ? null : at

export const text = holds((value) => typeof value === 'string')
export const flag = holds((value) => typeof value === 'boolean')
export const count = holds((value) => Number.isSafeInteger(value) && (value as number) >= 0)
export const amount = holds((value) => Number.isFinite(value) && (value as number) >= 0)
/** Between 0 and 1, and neither. */
export const share = holds((value) => typeof value === 'number' && value > 0 && value < 1)
/** JSON has no word for a number that is infinite. */
export const figure = holds((value) => value === null || typeof value === 'number')
/** To the end of the year 9999: from some time on no date can tell it. */
export const time = holds((value) => typeof value === 'number' && value >= 0 && value <= 253_402_300_799_999)
export const map = holds(isRecord)

/** One of these. */
export const named = <T extends string>(names: Readonly<Record<T, true>>): Shape =>
  holds((value) => typeof value === 'string' && Object.hasOwn(names, value))

/** Or it is absent. */
export const maybe =
  (shape: Shape): Shape =>
  (value, at) =>
    value === undefined ? null : shape(value, at)

export const orNull =
  (shape: Shape): Shape =>
  (value, at) =>
    value === null ? null : shape(value, at)

export const listOf =
  (shape: Shape): Shape =>
  (value, at) =>
    Array.isArray(value) ? first(value.keys(), (key) => shape(value[key], `${at}/${key}`)) : at

/** A map of any names. */
export const entriesOf =
  (shape: Shape): Shape =>
  (value, at) =>
    isRecord(value) ? first(Object.keys(value), (key) => shape(value[key], `${at}/${key}`)) : at

/** A map with these keys; others, which somebody else knows, do no harm. */
export const record = <T>(shapes: Whole<T>): Shape => {
  const entries = Object.entries<Shape>(shapes)
  return (value, at) =>
    isRecord(value) ? first(entries, ([key, shape]) => shape(own(value, key), at === '' ? key : `${at}/${key}`)) : at
}

function first<T>(all: Iterable<T>, faultOf: (each: T) => string | null): string | null {
  for (const each of all) {
    const fault = faultOf(each)
    if (fault !== null) return fault
  }
  return null
}
