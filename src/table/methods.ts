/** What is known of a request by its method (RFC 9110 9.2): whether it only reads, and whether it may be made twice. Pure. */

/** Whether a request by this method only reads: RFC 9110 9.2.1. */
export function isSafe(method: string): boolean {
  switch (method) {
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
    case 'TRACE':
      return true
    default:
      return false
  }
}

/** Whether a request by this method may be repeated: RFC 9110 9.2.2. */
export const isIdempotent = (method: string): boolean => isSafe(method) || method === 'PUT' || method === 'DELETE'
