/** A pseudo-terminal of the system, in which programs run as under the hands of a person. Python makes it, which has one in its library. */
import { spawn } from 'node:child_process'
import { onTestFinished } from 'vitest'

/** Runs a program in a terminal of so many columns, shows what is written there, and types what comes on standard input. */
const SCRIPT = `
import fcntl, os, pty, select, struct, sys, termios
columns, command = int(sys.argv[1]), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    # The size is there before the program looks.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, columns, 0, 0))
    os.execvp(command[0], command)
typed = [0]
while True:
    ready, _, _ = select.select([fd] + typed, [], [])
    if fd in ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        os.write(1, data)
    if 0 in ready:
        data = os.read(0, 1024)
        if data:
            os.write(fd, data)
        else:
            typed = []
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
`

export interface PseudoTerminal {
  /** All that was written there, without the carriage returns that a terminal adds. */
  text(): string
  /** Types this. */
  type(keys: string): void
  /** The exit code of the program. */
  readonly code: Promise<number | null>
}

/** What Ctrl-C types. */
export const CTRL_C = '\u0003'

/** Starts a program in a terminal; it ends with the test. */
export function inTerminal(
  python: string,
  command: readonly string[],
  { columns = 80, env = {}, cwd }: { columns?: number; env?: Record<string, string | undefined>; cwd?: string } = {},
): PseudoTerminal {
  const child = spawn(python, ['-c', SCRIPT, String(columns), ...command], {
    cwd,
    env: { ...process.env, NO_COLOR: undefined, TERM: 'xterm', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.on('data', (bytes: Buffer) => (text += bytes.toString('utf8')))
  child.stdin.on('error', () => {})
  const code = new Promise<number | null>((resolve) => child.once('close', (exitCode) => resolve(exitCode)))
  onTestFinished(async () => {
    // The program loses its terminal with it, which ends it, too.
    child.kill('SIGKILL')
    await code
  })
  return { text: () => text.replaceAll('\r\n', '\n'), type: (keys) => void child.stdin.write(keys), code }
}
