/**
 * `completion`: scripts by which shells complete what is typed, and what they ask: `completion of -- WORD…`, whose last word is the one
 * at the cursor.
 *
 * The scripts know nothing of the verbs. All that may stand somewhere comes from the usage texts, so it is what this Turnout takes; names
 * come from the admin API, within a second, or there are none. A candidate stands on a line, with a tab before what it is; `@files` alone
 * says that the shell knows better.
 */
import { openAdmin, pathOf } from './admin.ts'
import { candidates, type Names } from './candidates.ts'
import { plain } from './columns.ts'
import { usageFailure } from './failure.ts'
import type { Described } from './noun-actions.ts'
import type { Listed } from './usage.ts'
import type { Call, Verb } from './verb.ts'

const ANSWER_MS_MAX = 1_000

const BASH = `# bash completion of turnout: eval "$(turnout completion bash)"
_turnout() {
  local line=\${COMP_LINE:0:COMP_POINT} words cut candidate
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  local cur=\${words[\${#words[@]}-1]}
  # Readline takes = and : for the begin of a word.
  cut=\${cur%"\${cur##*[=:]}"}
  COMPREPLY=()
  while IFS=$'\\t' read -r candidate _; do
    if [[ $candidate == @files ]]; then
      compopt -o default 2> /dev/null
      return
    fi
    COMPREPLY+=("\${candidate#"$cut"}")
    [[ $candidate == *[=.] ]] && compopt -o nospace 2> /dev/null
  done < <("\${words[0]}" completion of -- "\${words[@]:1}" 2> /dev/null)
}
complete -F _turnout turnout
`

const ZSH = `#compdef turnout
# zsh completion of turnout: eval "$(turnout completion zsh)" after compinit
_turnout() {
  local line
  local -a lines names shown more
  lines=("\${(@f)$("\${words[1]}" completion of -- "\${(@)words[2,CURRENT]}" 2> /dev/null)}")
  if [[ $lines[1] == @files ]]; then
    _files
    return
  fi
  for line in $lines; do
    names+=("\${line%%$'\\t'*}")
    shown+=("\${line/$'\\t'/  -- }")
  done
  (( $#names )) || return 1
  [[ $names[1] == *[=.] ]] && more=(-S '')
  # In quotes, or the empty suffix would be left out, and -l be the suffix.
  compadd "\${(@)more}" -l -d shown -a names
}
compdef _turnout turnout
`

const FISH = `# fish completion of turnout: turnout completion fish | source
function __turnout_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l lines ($words[1] completion of -- $words[2..-1] 2> /dev/null)
  if test "$lines[1]" = '@files'
    __fish_complete_path (commandline -ct)
  else
    printf '%s\\n' $lines
  end
end
complete -c turnout -f -a '(__turnout_complete)'
`

const SCRIPTS: Readonly<Record<string, string>> = { bash: BASH, zsh: ZSH, fish: FISH }

/** The verb, which completes all of `verbs`. */
export const completionVerb = (verbs: () => readonly Listed[]): Verb => ({
  name: 'completion',
  args: 'bash|zsh|fish',
  summary: 'Print a script by which a shell completes verbs, options and names',
  argsCount: [1, Number.POSITIVE_INFINITY],
  takesEmpty: true,
  examples: ['completion bash > /etc/bash_completion.d/turnout'],
  async run(call) {
    const [shell, ...words] = call.args
    if (shell === 'of') return complete(call, verbs(), words)
    if (words.length > 0 || !Object.hasOwn(SCRIPTS, shell)) {
      throw usageFailure(`a completion is for ${Object.keys(SCRIPTS).join(', ')}, not "${call.args.join(' ')}".`)
    }
    call.print(SCRIPTS[shell])
  },
})

async function complete(call: Call, verbs: readonly Listed[], words: readonly string[]): Promise<void> {
  const admin = openAdmin(adminOf(words), call.env)
  const ask = <T>(path: string): Promise<T | null> => {
    let cancel = (): void => {}
    const late = new Promise<null>((resolve) => {
      cancel = call.clock.after(ANSWER_MS_MAX, () => resolve(null))
    })
    return Promise.race([admin.call<T>('GET', path).catch(() => null), late]).finally(() => cancel())
  }
  try {
    const found = await candidates(verbs, words, namesBy(ask))
    call.print(found.map(([name, what]) => `${plain(name)}${what === '' ? '' : `\t${plain(what)}`}\n`).join(''))
  } finally {
    await admin.close()
  }
}

function adminOf(words: readonly string[]): string | undefined {
  const at = words.indexOf('--admin')
  const [, joined] = words.map((word) => /^--admin=(.+)$/.exec(word)).find((match) => match !== null) ?? []
  return joined ?? (at >= 0 && at < words.length - 2 ? words[at + 1] : undefined)
}

function namesBy(ask: <T>(path: string) => Promise<T | null>): Names {
  const specOf = async (service: string): Promise<Pick<Described['spec'], 'pools' | 'rules'>> =>
    (await ask<Described>(pathOf('services', service)))?.spec ?? { pools: {}, rules: [] }
  return {
    services: async () =>
      (await ask<{ services: Described[] }>(pathOf('services')))?.services.map(({ name }) => name) ?? [],
    pools: async (service) => Object.keys((await specOf(service)).pools),
    targets: async (service, pool) => {
      const { pools } = await specOf(service)
      return Object.hasOwn(pools, pool) ? pools[pool].targets.map((url) => url.replace(/^(srv\+)?https?:\/\//, '')) : []
    },
    rules: async (service) => (await specOf(service)).rules.map(({ name }) => name),
  }
}
