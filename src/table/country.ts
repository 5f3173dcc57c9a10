/** Countries as proxies and databases write them: by the two letters of ISO 3166-1, or `T1`, as Cloudflare says of Tor. */

const CODE = /^[A-Za-z][A-Za-z0-9]$/
/** What says that a country is not known. */
const UNKNOWN = 'XX'

/** The country in upper case; null for one that is not known, and for what is none. */
export function countryOf(text: string): string | null {
  if (!CODE.test(text)) return null
  const code = text.toUpperCase()
  return code === UNKNOWN ? null : code
}
