/**
 * HalfSipHash of Aumasson and Bernstein: a hash by a secret, for tables that others may choose keys of. Who does not know the secret
 * cannot choose keys that meet. In the form 1-3, as tables in kernels and languages use it; the form 2-4 has published results to
 * be tested by.
 */

/** Two words of 32 bits. */
export type HashSecret = readonly [number, number]

/** The hash of the first octets of an array; unsigned 32 bit. */
export function halfSipHash(
  octets: Uint8Array,
  length: number,
  secret: HashSecret,
  rounds = 1,
  lastRounds = 3,
): number {
  let v0 = secret[0] | 0
  let v1 = secret[1] | 0
  let v2 = v0 ^ 0x6c796765
  let v3 = v1 ^ 0x74656462
  const absorbing = ((length >>> 2) + 1) * rounds
  let word = 0
  for (let round = 0; round < absorbing + lastRounds; round++) {
    const isAbsorbing = round < absorbing
    if (isAbsorbing && round % rounds === 0) {
      word = wordAt(octets, round / rounds, length)
      v3 ^= word
    } else if (round === absorbing) v2 ^= 0xff
    v0 = (v0 + v1) | 0
    v1 = rotated(v1, 5) ^ v0
    v0 = rotated(v0, 16)
    v2 = (v2 + v3) | 0
    v3 = rotated(v3, 8) ^ v2
    v0 = (v0 + v3) | 0
    v3 = rotated(v3, 7) ^ v0
    v2 = (v2 + v1) | 0
    v1 = rotated(v1, 13) ^ v2
    v2 = rotated(v2, 16)
    if (isAbsorbing && (round + 1) % rounds === 0) v0 ^= word
  }
  return (v1 ^ v3) >>> 0
}

const rotated = (word: number, by: number): number => (word << by) | (word >>> (32 - by))

/** Four octets, the lowest first; the last word is what is left, with the length above it. */
function wordAt(octets: Uint8Array, place: number, length: number): number {
  const at = place * 4
  if (at + 4 <= length) return octets[at] | (octets[at + 1] << 8) | (octets[at + 2] << 16) | (octets[at + 3] << 24)
  let word = length << 24
  for (let next = at; next < length; next++) word |= octets[next] << (8 * (next - at))
  return word
}
