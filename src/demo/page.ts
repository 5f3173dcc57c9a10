/** The front page of a demo target: one line of text for curl, a small HTML page for browsers. */

/** Which of the demo's targets answers. */
export interface Identity {
  readonly pool: string
  readonly version: string
  /** `host:port`. */
  readonly target: string
}

/** The front page as one line of text. */
export function textPage({ pool, version, target }: Identity): string {
  return `${pool} ${version} · target ${target} · change it: npm run -s turnout -- switch demo ${other(pool)}\n`
}

/** The front page as HTML; it follows /events, so a switch is seen without a reload. */
export function htmlPage({ pool, version, target }: Identity): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${pool} ${version}</title>
<style>
  body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }
  h1 { color: ${pool === 'green' ? '#15803d' : '#1d4ed8'} }
  code { background: #8882; padding: .1rem .3rem; border-radius: .2rem }
</style>
<h1>${pool} ${version}</h1>
<p>Answered by target <code>${target}</code>.</p>
<p>Send everyone to the other version: <code>npm run -s turnout -- switch demo ${other(pool)}</code></p>
<p>Share the traffic: <code>npm run -s turnout -- split demo blue=50 green=50</code></p>
<p>Live, from <code>/events</code>: <output id="tick">…</output></p>
<script>
  new EventSource('/events').onmessage = ({ data }) => {
    const { pool, version, target } = JSON.parse(data)
    document.getElementById('tick').textContent = pool + ' ' + version + ', ' + target
  }
</script>
</html>
`
}

const other = (pool: string): string => (pool === 'blue' ? 'green' : 'blue')
