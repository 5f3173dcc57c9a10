/** What shells complete: everything comes from the usage texts, names from the admin API, and nothing when that is out of reach. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { MAIN } from '../helpers/built.ts'
import { program } from '../helpers/programs.ts'
import { scripted, start, turnout } from './scripted.ts'

const spec = {
  pools: { blue: { targets: ['http://127.0.0.1:3001'] }, 'blue-2': { targets: [] }, green: { targets: [] } },
  rules: [{ name: 'staff' }, { name: 'office' }],
}
const admin = () =>
  scripted({
    'GET /v1/services': [
      200,
      {
        services: [
          { name: 'shop', spec },
          { name: 'api', spec },
        ],
      },
    ],
    'GET /v1/services/shop': [200, { name: 'shop', spec }],
  })

test('words, options and names are completed where they may stand, by the usage of the verb', async () => {
  const { url } = await admin()
  const of = async (...words: string[]) => {
    const { code, out, err } = await turnout(url, 'completion', 'of', '--', ...words)
    expect([code, err]).toEqual([0, ''])
    return out.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')[0]]))
  }
  const cases: readonly (readonly [line: string, words: string])[] = [
    ['sp', 'split'],
    ['st', 'status standby'],
    ['--v', '--version'],
    ['help dep', 'deploy'],
    ['status ', 'shop api'],
    ['status sh', 'shop'],
    ['status --w', '--watch'],
    ['split shop b', 'blue= blue-2='],
    ['split shop blue=90 g', 'green='],
    ['switch shop g', 'green'],
    ['switch shop=bl', 'shop=blue shop=blue-2'],
    ['--json drain shop blue 12', '127.0.0.1:3001'],
    ['deploy shop --to g', 'green'],
    ['deploy shop --to green --st', '--strategy'],
    ['rollout p', 'pause promote'],
    ['rollout show a', 'api'],
    ['apply ', '@files'],
    ['export --service s', 'shop'],
    ['pool r', 'remove'],
    ['pool set shop green ver', 'version='],
    ['target remove shop blue ', '127.0.0.1:3001'],
    ['rule remove shop o', 'office'],
    ['rule add shop x when.h', 'when.header='],
    ['service set shop health.p', 'health.path='],
    ['service set shop hea', 'health.'],
    ['service add x --file ', '@files'],
    ['hold shop --only ', 'writes'],
    ['events --type h', 'health hold'],
    ['completion ', 'bash zsh fish'],
    ['nonsense ', ''],
    ['status nowhere x ', ''],
    ['split nowhere ', ''],
  ]
  for (const [line, words] of cases) expect([line, (await of(...line.split(' '))).join(' ')]).toEqual([line, words])
  expect(await of('--admin', 'http://127.0.0.1:1', 'status', '')).toEqual([])
})

test('without the admin API, or a slow one, there are no names, and no word of it', async () => {
  const away = await admin()
  await away.stop()
  expect(await turnout(away.url, 'completion', 'of', '--', 'status', '')).toEqual({ code: 0, out: '', err: '' })
  const slow = await scripted({ 'GET /v1/services': () => {} })
  const began = performance.now()
  expect(await turnout(slow.url, 'completion', 'of', '--', 'status', '')).toEqual({ code: 0, out: '', err: '' })
  expect(performance.now() - began).toBeLessThan(5_000)
  const wrong = await turnout('', 'completion', 'tcsh')
  expect([wrong.code, wrong.err]).toEqual([2, 'turnout: a completion is for bash, zsh, fish, not "tcsh".\n'])
})

test('a real bash completes by the script, also behind = and :, which are begins of words to it', async () => {
  const { url } = await admin()
  const script = `
    turnout() { "$NODE" "$MAIN" "$@"; }
    eval "$(turnout completion bash)"
    complete -p turnout
    ask() { COMP_LINE=$1; COMP_POINT=\${#1}; _turnout turnout; echo "\${COMPREPLY[*]}"; }
    ask 'turnout sw'
    ask 'turnout split shop bl'
    ask 'turnout switch shop=blu'
    ask 'turnout drain shop blue 127.0.0.1:3'
    ask 'turnout apply '`
  const env = { ...process.env, NODE: process.execPath, MAIN, TURNOUT_ADMIN: url }
  const { stdout, stderr } = await promisify(execFile)('bash', ['--norc', '-c', script], { env })
  expect(stderr).toBe('')
  expect(stdout).toBe('complete -F _turnout turnout\nswitch\nblue= blue-2=\nblue blue-2\n3001\n\n')
})

const [zsh, fish] = [program('zsh'), program('fish')]
/** What the shells are started with, so that `turnout` is the one of this checkout. */
const shellEnv = (admin: string) => ({ ...process.env, NODE: process.execPath, MAIN, TURNOUT_ADMIN: admin })

test.skipIf(zsh === null)('a real zsh completes by the script, and leaves no blank behind = and .', async () => {
  const { url } = await admin()
  // Completion needs a terminal: zsh makes one and types into it; ^G prints the line as it is then.
  const script = `
    zmodload zsh/zpty
    zpty z $SHELL_PATH -f -i
    zpty -w z 'turnout() { "$NODE" "$MAIN" "$@" }; autoload -Uz compinit; compinit -u -D; eval "$(turnout completion zsh)"
      mark() { print -r -- "<$BUFFER>" }; zle -N mark; bindkey "^G" mark; print REA""DY'
    zpty -r z out '*READY*'
    ask() {
      zpty -w -n z "$1"$'\\t\\007'
      zpty -r z out '*<*>*'
      print -r -- "<\${\${out##*<}%%>*}>"
      zpty -w -n z $'\\025'
    }
    ask 'turnout sw'
    ask 'turnout split shop gr'
    ask 'turnout switch shop=gr'
    ask 'turnout drain shop blue 127'
    ask 'turnout apply READM'`
  const env = { ...shellEnv(url), TERM: 'vt100', SHELL_PATH: zsh! }
  const { stdout, stderr } = await promisify(execFile)(zsh!, ['-f', '-c', script], { env, timeout: 60_000 })
  expect([stderr, stdout]).toEqual([
    '',
    '<turnout switch >\n<turnout split shop green=>\n<turnout switch shop=green >\n<turnout drain shop blue 127.0.0.1:3001 >\n<turnout apply README.md >\n',
  ])
})

test.skipIf(fish === null)('a real fish completes by the script, and says what each is', async () => {
  const { url } = await admin()
  const script = `
    function turnout; "$NODE" "$MAIN" $argv; end
    turnout completion fish | source
    for line in 'turnout sw' 'turnout split shop gr' 'turnout switch shop=gr' 'turnout drain shop blue 127' 'turnout apply READM'
      complete -C $line
    end`
  const { stdout, stderr } = await promisify(execFile)(fish!, ['--no-config', '-c', script], { env: shellEnv(url) })
  const lines = stdout.trimEnd().split('\n')
  expect(stderr).toBe('')
  expect(lines[0]).toMatch(/^switch\tSend all traffic/)
  expect(lines.map((line) => line.split('\t')[0])).toEqual([
    'switch',
    'green=',
    'shop=green',
    '127.0.0.1:3001',
    'README.md',
  ])
})

test('the manual page has every verb with its forms and options, and so has each script none of them', async () => {
  const { wrote, code } = start(['man'], {})
  expect(await code).toBe(0)
  const help = (await turnout('', '--help')).out
  for (const [, verb] of help.matchAll(/^ {2}([a-z]+) /gm))
    expect(wrote.out).toMatch(new RegExp(`^\\.SS ${verb}$`, 'm'))
  expect(wrote.out).toContain('.B turnout pool add SERVICE POOL KEY=VALUE...\n')
  expect(wrote.out).toMatch(/^[\n -~]*$/)
  expect(wrote.out).toContain('.B \\-\\-if\\-match REVISION\n')
  for (const shell of ['bash', 'zsh', 'fish'])
    expect((await turnout('', 'completion', shell)).out).not.toContain('rollout')
})
