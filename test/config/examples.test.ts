import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { checkServices } from '../../src/config/check.ts'
import { parseSpec, printFault } from '../../src/config/load.ts'
import { planHealth, planService } from '../../src/config/plan.ts'

const folder = new URL('../../config/', import.meta.url)
const examples = readdirSync(folder).filter((name) => name.endsWith('.yaml'))

test('there is an example for each way to release', () => {
  expect(examples.sort()).toEqual(['blue-green.yaml', 'canary.yaml', 'dark-launch.yaml', 'minimal.yaml', 'sticky.yaml'])
})

describe.each(examples)('%s', (name) => {
  const text = readFileSync(new URL(name, folder), 'utf8')

  test('loads as it is, without any environment', () => {
    const result = parseSpec(text, { env: {}, source: name })
    expect('faults' in result ? result.faults.map(printFault) : []).toEqual([])
    if ('faults' in result) return
    expect(checkServices(result.spec.services)).toEqual([])
    for (const [service, spec] of Object.entries(result.spec.services)) {
      expect(planService(service, spec).name).toBe(service)
      planHealth(spec)
    }
  })

  test('tells editors its schema, and people what it is for', () => {
    expect(text.split('\n')[0]).toBe('# yaml-language-server: $schema=./schema.json')
    expect(text.split('\n')[1]).toMatch(/^# \w/)
  })

  test('has targets on loopback ports 3001 to 3003 only', () => {
    const ports = [...text.matchAll(/https?:\/\/([^"/\s]+)"/g)].map(([, authority]) => authority)
    expect(ports.length).toBeGreaterThan(0)
    for (const authority of ports) expect(authority).toMatch(/^127\.0\.0\.1:300[123]$/)
  })
})
