import { expect, test } from 'vitest'
import { checkServices, validateService } from '../../src/config/check.ts'
import { planService } from '../../src/config/plan.ts'
import { RouteOwners } from '../../src/config/route-owners.ts'
import type { ServiceSpec } from '../../src/config/schema.ts'

const SHOP = {
  routes: [{ host: 'shop.example.com' }, { host: 'www.example.com' }, { host: 'shop.example.com', path: '/api' }],
  pools: {
    blue: { targets: ['http://127.0.0.1:1'] },
    'v1.2': { targets: ['http://127.0.0.1:2'] },
  },
  live: 'blue',
}

function sound(service: object): ServiceSpec {
  const checked = validateService(service)
  if ('faults' in checked) throw new Error(JSON.stringify(checked.faults))
  return checked.spec
}

const faultsOf = (changes: object): string[] => {
  const checked = validateService({ ...SHOP, ...changes })
  return 'faults' in checked ? checked.faults.map(({ pointer, message }) => `${pointer} ${message}`) : []
}

test('each pool has the routes of the service on its own host, each once, for the clients that are named', () => {
  const preview = { host: '{pool}.Shop.example.com', from: ['10.0.0.0/8'] }
  const plan = planService('shop', sound({ ...SHOP, preview }))
  expect(plan.routes.map(({ host, path, preview }) => [host, path, preview])).toEqual([
    ['shop.example.com', '/', null],
    ['www.example.com', '/', null],
    ['shop.example.com', '/api', null],
    ['blue.shop.example.com', '/', { pool: 'blue', from: ['10.0.0.0/8'] }],
    ['blue.shop.example.com', '/api', { pool: 'blue', from: ['10.0.0.0/8'] }],
    ['v1.2.shop.example.com', '/', { pool: 'v1.2', from: ['10.0.0.0/8'] }],
    ['v1.2.shop.example.com', '/api', { pool: 'v1.2', from: ['10.0.0.0/8'] }],
  ])
  expect(planService('shop', sound({ ...SHOP, preview: '{pool}.x.test' })).routes[3]).toMatchObject({
    host: 'blue.x.test',
    preview: { pool: 'blue', from: null },
  })
})

test('a change of the split plans no route anew, one of the pools or the preview does', () => {
  const spec = sound({ ...SHOP, preview: '{pool}.x.test' })
  const routesOf = (changes: Partial<ServiceSpec>) => planService('shop', { ...spec, ...changes }).routes
  const before = routesOf({})
  expect(routesOf({ split: { blue: 1, 'v1.2': 1 } })).toBe(before)
  const { blue } = spec.pools
  expect(routesOf({ pools: { blue } }).map(({ host }) => host)).not.toContain('v1.2.x.test')
  expect(routesOf({ preview: '{pool}.y.test' })[3].host).toBe('blue.y.test')
})

test.each([
  ['shop.example.com', '/preview "shop.example.com" must have {pool} in it once, and no "*"'],
  ['{pool}.{pool}.test', '/preview "{pool}.{pool}.test" must have {pool} in it once, and no "*"'],
  ['*.{pool}.test', '/preview "*.{pool}.test" must have {pool} in it once, and no "*"'],
  [
    '{pool}..test',
    '/preview the preview host of pool "blue": "blue..test" is not a host: write a name, *.example.com, or * for any',
  ],
  [{ host: 'x.test' }, '/preview/host "x.test" must have {pool} in it once, and no "*"'],
  [
    { host: '{pool}.test', from: ['10.0.0.0/33'] },
    '/preview/from/0 "10.0.0.0/33" is not a network such as 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7',
  ],
])('%j is refused', (preview, fault) => {
  expect(faultsOf({ preview })).toContain(fault)
})

test('a name of a pool that is no part of a host is refused', () => {
  const pools = { 'b.': { targets: ['http://127.0.0.1:1'] } }
  expect(faultsOf({ pools, live: 'b.', preview: '{pool}.test' })[0]).toMatch(
    /^\/preview the preview host of pool "b\.": "b\.\.test" is not a host/,
  )
})

test('two services cannot have one host, and two pools neither', () => {
  const shop = sound({ ...SHOP, preview: '{pool}.example.com' })
  const routes = [{ host: 'Blue.example.com', path: '/api' }]
  const blog = sound({ ...SHOP, routes, preview: '{pool}.blog.test' })
  const same = (pointer: string, whose: string) => ({ pointer, message: `${whose} has the same route already` })
  expect(checkServices({ shop, blog })).toEqual([same('/blog/routes/0', 'service "shop"')])
  expect(checkServices({ blog, shop })).toEqual([
    same('/shop/preview', 'blue.example.com/api, for pool blue: service "blog"'),
  ])

  const owners = new RouteOwners()
  owners.settle({ shop }, ['shop'])
  expect(owners.faults({ shop, blog }, ['blog'])).toEqual([same('/blog/routes/0', 'service "shop"')])
  const without = { ...shop, preview: undefined }
  owners.settle({ shop: without }, ['shop'])
  expect(owners.faults({ shop: without, blog }, ['blog'])).toEqual([])

  const pools = { blue: SHOP.pools.blue, Blue: SHOP.pools['v1.2'] }
  expect(faultsOf({ pools, routes: [{ path: '/' }], preview: '{pool}.test' })).toEqual([
    '/preview Blue.test/, for pool Blue: another entry of this service has the same route already',
  ])
})
