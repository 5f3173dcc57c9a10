/**
 * What is sent: the scenarios, and the headers that a browser sends along.
 *
 * In `browser` the cookies that the proxy itself sets are sent back, as a browser would; otherwise a proxy that keeps its
 * visitors would greet a new one with every request.
 */

export interface Scenario {
  readonly name: string
  /** For the report. */
  readonly title: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  /** Bytes of the request body. */
  readonly bodyBytes: number
}

/** About 700 bytes of fields as a present-day browser sends them, cookies included. */
export const BROWSER_HEADERS: Readonly<Record<string, string>> = {
  'User-Agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36',
  Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Language': 'en-GB,en;q=0.9,de;q=0.7',
  'Accept-Encoding': 'gzip, deflate, br, zstd',
  'Cache-Control': 'max-age=0',
  'Upgrade-Insecure-Requests': '1',
  'Sec-Fetch-Dest': 'document',
  'Sec-Fetch-Mode': 'navigate',
  'Sec-Fetch-Site': 'same-origin',
  'Sec-Fetch-User': '?1',
  Referer: 'https://shop.example.com/catalogue/shoes?page=2&sort=price',
  Cookie: 'session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; _ga=GA1.2.1234567890.1700000000; consent=all',
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'small', title: 'small GET', method: 'GET', path: '/small', headers: {}, bodyBytes: 0 },
  {
    name: 'browser',
    title: 'small GET with the headers of a browser',
    method: 'GET',
    path: '/small',
    headers: BROWSER_HEADERS,
    bodyBytes: 0,
  },
  { name: '1mb', title: '1 MB response', method: 'GET', path: '/1mb', headers: {}, bodyBytes: 0 },
  {
    name: 'upload',
    title: '1 MB upload',
    method: 'POST',
    path: '/upload',
    headers: { 'Content-Type': 'application/octet-stream' },
    bodyBytes: 1024 * 1024,
  },
]

/** The same scenario with cookies added to those that it sends already. */
export function withCookies(scenario: Scenario, cookies: readonly string[]): Scenario {
  if (cookies.length === 0 || scenario.headers['Cookie'] === undefined) return scenario
  const all = [scenario.headers['Cookie'], ...cookies].join('; ')
  return { ...scenario, headers: { ...scenario.headers, Cookie: all } }
}
