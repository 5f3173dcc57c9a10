/**
 * Text and octets. A config is text; what comes over the wire is octets, held here as strings of one character each (latin1), as
 * nothing in HTTP says what they mean (RFC 9110 5.5). So text that is compared with the wire becomes the octets of its UTF-8 once,
 * when a plan is made, and is shown to people as text again.
 */
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text)

/** The octets of a text as UTF-8, a character each. */
export function octetsOfText(text: string): string {
  if (isAscii(text)) return text
  let octets = ''
  for (const octet of encoder.encode(text)) octets += String.fromCharCode(octet)
  return octets
}

/** The text of octets as UTF-8; what is no UTF-8 stays as it is. */
export function textOfOctets(octets: string): string {
  if (isAscii(octets)) return octets
  try {
    return decoder.decode(Uint8Array.from(octets, (octet) => octet.charCodeAt(0)))
  } catch {
    return octets
  }
}
