import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { freePort } from '../../bench/ports.ts'
import { startDemo as inProcess } from '../../src/demo/demo.ts'
import { MAIN } from '../helpers/built.ts'

const run = promisify(execFile)
const ROOT = new URL('../..', import.meta.url).pathname

/** Starts the demo as `npm start` does, on the given ports; it is killed with the test if it still runs. */
function startDemo(ports: { proxy: number; admin: number }) {
  const env = {
    ...process.env,
    TURNOUT_DEMO_PORT: String(ports.proxy),
    TURNOUT_DEMO_ADMIN_PORT: String(ports.admin),
  }
  const child: ChildProcess = spawn(process.execPath, ['src/demo/main.ts'], { cwd: ROOT, env })
  onTestFinished(() => void child.kill('SIGKILL'))
  const wrote = { out: '', err: '' }
  child.stdout!.on('data', (chunk) => {
    wrote.out += chunk
  })
  child.stderr!.on('data', (chunk) => {
    wrote.err += chunk
  })
  return { child, wrote, ended: once(child, 'exit') as Promise<[number | null, string | null]> }
}

/** In a shell where `npm run -s turnout --` is what it stands for (package.json), without npm, and built: that starts in a quarter of the time. */
async function paste(command: string): Promise<string> {
  const npm = `npm() { shift 4; '${process.execPath}' '${MAIN}' "$@"; }\n`
  const { stdout } = await run('sh', ['-c', npm + command], { cwd: ROOT })
  return stdout
}

describe('npm start', () => {
  it('prints seven commands that work when pasted, and takes one Ctrl-C that arrives twice for one, at which it ends cleanly', async () => {
    const ports = { proxy: await freePort(), admin: await freePort() }
    const { child, wrote, ended } = startDemo(ports)
    await vi.waitFor(() => expect(wrote.out).toContain('Ctrl-C ends it all.'))
    const commands = [...wrote.out.matchAll(/^ {2}\d\. .*\n {5}(.*)$/gm)].map(([, command]) => command)
    expect(commands).toHaveLength(7)
    const [look, staff, halves, broken, switched, explained, killed] = commands

    expect(commands.filter((command) => command.includes('npm')).join(' ')).not.toMatch(/npm (?!run -s turnout -- )/)
    expect(JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8')).scripts.turnout).toBe('node src/main.ts')
    expect(await paste(look)).toMatch(/^blue 1\.0 /)
    expect(await paste(staff)).toMatch(/^green 1\.1 /)
    const half = (await paste(halves)).split('\n')
    expect(half[0]).toMatch(/^demo: blue 50 %, green 50 % \(revision \d+, /)
    expect(half.filter((line) => line.startsWith('green'))).toHaveLength(5)
    expect(half.filter((line) => line.startsWith('blue'))).toHaveLength(5)
    expect(await paste(broken)).toMatch(
      /answers 30 % .*\n[\s\S]*rolled back.* answers of green failed.*\n.* is well from now on\n$/,
    )
    expect(await paste(switched)).toMatch(/^demo: green 100 % .*\n(green 1\.1 .*\n){3}$/)
    expect(await paste(explained)).toMatch(/^green 1\.1, .*\n {2}why +rule staff sends /)
    const afterKill = (await paste(killed)).split('\n')
    expect(afterKill[0]).toMatch(/ is dead for 10 s$/)
    // The first may still be answered by green; none may fail.
    expect(afterKill[1]).toMatch(/^(blue|green) 1\./)
    for (const line of afterKill.slice(2, 6)) expect(line).toMatch(/^blue 1\.0 /)
    expect(afterKill.join('\n')).toMatch(/^POOL /m)
    expect(afterKill.join('\n')).toMatch(/unhealthy/)

    // As npm may pass it on: one that arrives twice is one.
    child.kill('SIGINT')
    child.kill('SIGINT')
    expect(await ended).toEqual([0, null])
    // What was done to green is told as it is in the log of any Turnout, and nothing else is.
    const told = wrote.err
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; msg: string })
    expect(new Set(told.map(({ event }) => event))).toEqual(new Set(['rollout', 'health']))
    expect(told.filter(({ msg }) => !msg.includes('green'))).toEqual([])
  })

  it('ends cleanly and soon with SIGTERM, though someone still follows the events', async () => {
    const ports = { proxy: await freePort(), admin: await freePort() }
    const { child, wrote, ended } = startDemo(ports)
    await vi.waitFor(() => expect(wrote.out).toContain('Ctrl-C ends it all.'))
    const { body } = await fetch(`http://127.0.0.1:${ports.proxy}/events`)
    const reader = body!.getReader()
    await reader.read()
    const startedMs = performance.now()
    child.kill('SIGTERM')
    expect(await ended).toEqual([0, null])
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    await reader.cancel().catch(() => {})
  })

  it('says which port is taken, and how to choose another', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void other.close())
    const { port } = other.address() as AddressInfo
    const free = await freePort()
    const told = (variable: string) =>
      `Port ${port} is taken by another program. Free it, or choose another: ${variable}=${port + 1} npm start`
    const { wrote, ended } = startDemo({ proxy: port, admin: free })
    expect(await ended).toEqual([1, null])
    expect(wrote.err).toBe(`${told('TURNOUT_DEMO_PORT')}\n`)
    // The other one by what starts it, for a process that has nothing more to tell.
    const env = { TURNOUT_DEMO_PORT: String(free), TURNOUT_DEMO_ADMIN_PORT: String(port) }
    await expect(inProcess(env, () => {})).rejects.toThrow(told('TURNOUT_DEMO_ADMIN_PORT'))
  })
})
