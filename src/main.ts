#!/usr/bin/env node
/**
 * The command line: `serve` runs the proxy, every other verb talks to the admin API of a running one (cli/main.ts).
 *
 * Signals of `serve`: SIGTERM and SIGINT finish what is under way and exit 0, a second one exits at once; SIGHUP reads the
 * config file again. Exit codes are those of CONTRACT: 0 done, 1 refused or failed, 2 bad usage.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { runCli } from './cli/main.ts'
import { parseSpec, printFault } from './config/load.ts'
import type { Spec } from './config/schema.ts'
import { isTurnoutError } from './errors.ts'
import { type Running, serve } from './serve.ts'
import { onEndSignal } from './signals.ts'

const CONFIG_DEFAULT = 'turnout.yaml'
const IO = { env: process.env, stdout: process.stdout, stderr: process.stderr }

/** Thrown for what is wrong with the file; every fault is a line of the message. */
class BadConfig extends Error {}

function readSpec(path: string): Spec {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file; --config FILE names another' : message
    throw new BadConfig(`${path} cannot be read: ${why}`)
  }
  // An editor or a disk that is full leaves such a file; taken for a config it would remove every service.
  if (text.trim() === '') throw new BadConfig(`${path} is empty`)
  const loaded = parseSpec(text, { env: process.env, source: path })
  if ('faults' in loaded) throw new BadConfig(loaded.faults.map(printFault).join('\n'))
  return loaded.spec
}

/** Why `serve` could not start, for people. */
function startFailure(error: unknown): string {
  if (error instanceof BadConfig) return error.message
  const { code, message } = error as { code?: string; message: string }
  if (code === 'EADDRINUSE') return `${message.replace(/^.* /, '')} is taken: another process listens there`
  if (isTurnoutError(error))
    return [message, ...error.faults.map((fault) => `${fault.pointer}: ${fault.message}`)].join('\n')
  // What the system refuses is no bug, and its message names the file or the address.
  if (code !== undefined && /^E[A-Z]+$/.test(code)) return message
  return error instanceof Error ? (error.stack ?? message) : String(error)
}

async function runServe(args: string[]): Promise<number> {
  let values: { config?: string; check?: boolean; help?: boolean }
  try {
    const options = {
      config: { type: 'string' },
      check: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    } as const
    values = parseArgs({ args, options, allowPositionals: false }).values
  } catch (error) {
    process.stderr.write(`turnout serve: ${(error as Error).message}\nusage: turnout serve [--config FILE] [--check]\n`)
    return 2
  }
  if (values.help) return runCli(['help', 'serve'], IO)
  const path = values.config ?? CONFIG_DEFAULT
  try {
    const spec = readSpec(path)
    if (values.check) {
      process.stdout.write(`${path} is valid: ${Object.keys(spec.services).length} service(s)\n`)
      return 0
    }
    const reread = () => readSpec(path)
    // A config often lies where nothing may be written; what is kept goes where we were started.
    const running = await serve({ spec, reread, directory: dirname(resolve(path)), stateDirectory: process.cwd() })
    running.log.info({ listeners: running.listeners, admin: running.admin }, 'serving')
    return await untilEnded(running)
  } catch (error) {
    process.stderr.write(startFailure(error) + '\n')
    return 1
  }
}

/** Serves until a signal ends it. */
function untilEnded(running: Running): Promise<number> {
  return new Promise((resolveExit) => {
    const end = (signal: string) => {
      running.log.info({ signal }, 'finishing what is under way')
      running.close().then(
        () => resolveExit(0),
        (error: Error) => {
          running.log.error({ err: error }, 'could not end cleanly')
          resolveExit(1)
        },
      )
    }
    onEndSignal(end, () => resolveExit(1))
    process.on('SIGHUP', () => {
      running.reload().then(
        ({ revision, epoch, appliedInMs, changed, kept }) => {
          const places = kept.map(({ pointer }) => pointer)
          const but = places.length > 0 ? '; what others have changed of it since was kept' : ''
          running.log.info(
            { revision, epoch, appliedInMs, changed, kept: places },
            `the config file was read again${but}`,
          )
        },
        (error: unknown) => running.log.error(`the config file was not applied:\n${startFailure(error)}`),
      )
    })
  })
}

const [verb, ...rest] = process.argv.slice(2)
const code = verb === 'serve' ? await runServe(rest) : await runCli(process.argv.slice(2), IO)
process.exit(code)
