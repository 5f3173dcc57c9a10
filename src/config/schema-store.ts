/**
 * The part of the schema about the store: one URL, or a map with everything that a Redis may need. Read at start, never changed by the API.
 * What must hold together stands in check-store.ts. See schema.ts for the invariants.
 */
import type { Static } from 'typebox'
import { closed } from './schema-parts.ts'
import { Type } from './type.ts'

const Node = (description: string) =>
  Type.String({
    pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[^\\s:/@\\[\\]]+)(:[0-9]{1,5})?$',
    title: 'host:port',
    description,
  })
const Secret = (description: string) => Type.String({ minLength: 1, writeOnly: true, description })
const File = (description: string, without: string) =>
  Type.String({ minLength: 1, description: `${description} Relative to this file. Default: ${without}.` })

const RedisTlsSchema = closed({
  ca: Type.Optional(File('PEM file of the authorities that are trusted.', 'those of Node')),
  cert: Type.Optional(File('PEM file of our own certificate, where Redis asks for one.', 'none')),
  key: Type.Optional(File('PEM file of its key.', 'none')),
  serverName: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'Name in the certificate of Redis, where it is not that of the host. Default: the host.',
    }),
  ),
})

export const RedisSchema = closed({
  url: Type.Optional(
    Type.String({
      pattern: '^rediss?://.+$',
      title: 'redis://HOST or rediss://HOST',
      writeOnly: true,
      description:
        'One Redis: redis[s]://[USER:PASSWORD@]HOST[:PORT][/DATABASE]. Default: none, there are sentinels or a cluster.',
    }),
  ),
  sentinels: Type.Optional(
    Type.Array(Node('A sentinel.'), {
      minItems: 1,
      description: 'Sentinels that know which Redis is the primary. Default: none.',
    }),
  ),
  name: Type.Optional(
    Type.String({
      minLength: 1,
      description: 'What the sentinels call the primary; needed with sentinels. Default: none.',
    }),
  ),
  sentinelUsername: Type.Optional(Secret('User at the sentinels. Default: none.')),
  sentinelPassword: Type.Optional(Secret('Password at the sentinels. Default: none.')),
  cluster: Type.Optional(
    Type.Array(Node('A node.'), {
      minItems: 1,
      description: 'Some nodes of a Cluster; it tells of the others. Default: none.',
    }),
  ),
  natMap: Type.Optional(
    Type.Record(Type.String({ pattern: '^.+$' }), Node('Where it is for us.'), {
      description: 'Addresses that sentinels or a Cluster tell, and where these are for us. Default: none.',
    }),
  ),
  tls: Type.Optional(
    Type.Union([RedisTlsSchema, Type.Literal(true)], {
      description: 'TLS, also to sentinels; true trusts what Node trusts. Default: only where the URL says rediss.',
    }),
  ),
  username: Type.Optional(Secret('User at Redis. Default: none.')),
  password: Type.Optional(Secret('Password at Redis; better from the environment. Default: none.')),
  database: Type.Optional(
    Type.Integer({ minimum: 0, maximum: 1_048_575, description: 'Number of the database. Default 0.' }),
  ),
  keyPrefix: Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_.:-]{1,64}$',
      title: 'a prefix (letters, digits, "_", ".", ":" and "-", at most 64)',
      description: 'All keys begin with {PREFIX}:, so that they are on one node of a Cluster. Default turnout.',
    }),
  ),
})

export const StoreSchema = Type.Union(
  [
    Type.String({
      pattern: '^(memory:?|sqlite:.+|rediss?://.+)$',
      title: 'a store (memory:, sqlite:PATH or redis://HOST)',
      writeOnly: true,
    }),
    closed({
      redis: Type.Unsafe<Static<typeof RedisSchema>>({
        ...RedisSchema,
        description: 'One Redis by its url, one that sentinels know, or a cluster.',
      }),
    }),
  ],
  {
    default: 'sqlite:./turnout.db',
    description: 'memory:, sqlite:PATH, redis://… or a map with all that a Redis needs.',
    examples: ['sqlite:./turnout.db'],
  },
)

export type RedisSpec = Static<typeof RedisSchema>
export type StoreSpec = Static<typeof StoreSchema>
