/**
 * Server-sent events out of a stream of bytes (WHATWG HTML 9.2.6), as far as our own admin API uses them: `id`, `data` and
 * comments. An event that its stream does not end is dropped, as the standard says; it comes again after a reconnect.
 */

export interface ServerEvent {
  readonly id: string
  readonly data: string
}

/** Yields the events of a stream as they arrive. */
export async function* readEvents(stream: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder()
  let rest = ''
  let id = ''
  let data: string[] = []
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop()!
    for (const raw of lines) {
      const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/.exec(line)!
      if (field === 'id') id = value ?? ''
      else if (field === 'data') data.push(value ?? '')
      else if (line === '' && data.length > 0) {
        yield { id, data: data.join('\n') }
        data = []
      }
    }
  }
}
