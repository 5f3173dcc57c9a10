/** How Turnout finds whoever it asks that is no target: by the same name servers, as node:net wants it told. */
import net from 'node:net'
import { expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { finderOf } from '../../src/names/find.ts'
import { Names } from '../../src/names/names.ts'
import { addresses, namesBy, startNameServer, type Zone } from '../helpers/name-server.ts'
import { startNamed } from '../helpers/upstream.ts'

async function startFinding(zones: Record<string, Zone>) {
  const server = await startNameServer(zones)
  const names = new Names({ clock: systemClock, random: () => 0, moved() {}, tell() {} }, namesBy(server))
  const find = (host: string, all: boolean) =>
    new Promise<unknown>((resolve) =>
      names.find(host, { all }, (error, found, family) =>
        resolve(error === null ? (family === undefined ? found : [found, family]) : `${error.code}: ${error.message}`),
      ),
    )
  return { names, find, server }
}

test('a name is told with all of its addresses, or with one', async () => {
  const { find } = await startFinding({ 'a.test': { answers: addresses(['127.0.0.1', '::1']) } })
  expect(await find('a.test', true)).toEqual([
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ])
  expect(await find('a.test', false)).toEqual(['127.0.0.1', 4])
  expect(await find('localhost', false)).toEqual(['127.0.0.1', 4])
})

test('a name without an address, and one that nobody answers for, are told by the codes of the system', async () => {
  const { find } = await startFinding({ 'dead.test': { silent: true }, 'broken.test': { rcode: 'servfail' } })
  expect(await find('gone.test', true)).toBe('ENOTFOUND: gone.test cannot be resolved: there is no such name')
  expect(await find('broken.test', true)).toMatch(/^EAI_AGAIN: .*SERVFAIL/)
  expect(await find('dead.test', true)).toMatch(/^EAI_AGAIN: .*no name server answered in time/)
})

test('names that nobody answers for keep nobody from being found meanwhile', async () => {
  const dead = Array.from({ length: 32 }, (_, n) => `dead${n}.test`)
  const zones = Object.fromEntries(dead.map((name) => [name, { silent: true as const }]))
  const { find, names } = await startFinding({ ...zones, 'a.test': { answers: addresses(['127.0.0.1']) } })
  let failed = 0
  const all = dead.map((name) => find(name, true).then(() => failed++))
  const { port } = await startNamed('a')
  const socket = net.connect({ host: 'a.test', port, lookup: names.find })
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  socket.destroy()
  expect(failed).toBe(0)
  await Promise.all(all)
})

test('what cannot be asked at all is told, and ends nothing', async () => {
  const find = finderOf(() => {
    throw new Error('too many open files')
  })
  const told = await new Promise((resolve) => find('api.test', {}, (error) => resolve(error?.message)))
  expect(told).toBe('api.test cannot be resolved: the lookup failed: too many open files')
})
