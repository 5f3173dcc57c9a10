/** Blocks that are drawn in place, on terminals of every size. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Redraw, widthOf, wrapped } from '../../src/cli/redraw.ts'
import { Terminal } from './terminal.ts'

function open(columns: number, rows = 24) {
  const terminal = new Terminal(columns, rows)
  terminal.write('$ turnout status --watch\n')
  const screen = new Redraw({ print: terminal.write, size: () => terminal })
  return { terminal, screen }
}

test('a block is drawn over the last one, whatever was longer there', () => {
  const { terminal, screen } = open(40)
  screen.draw(['one', 'a longer line', 'three'])
  screen.draw(['eins', 'zwei'])
  expect(terminal.lines).toEqual(['$ turnout status --watch', 'eins', 'zwei'])
})

test('a line that is longer than the terminal is wide is cut, so that the next drawing leaves nothing behind', () => {
  const { terminal, screen } = open(30)
  for (const word of ['first', 'second', 'third']) screen.draw([word.repeat(20), 'x'.repeat(30), 'short'])
  expect(terminal.lines).toEqual([
    '$ turnout status --watch',
    'thirdthirdthirdthirdthirdthi…',
    `${'x'.repeat(28)}…`,
    'short',
  ])
})

test('a block that is higher than the terminal is cut, and says so', () => {
  const { terminal, screen } = open(60, 5)
  const lines = Array.from({ length: 9 }, (_, at) => `line ${at}`)
  screen.draw(lines)
  screen.draw(lines)
  expect(terminal.lines).toEqual([
    '$ turnout status --watch',
    'line 0',
    'line 1',
    'line 2',
    '… 6 more lines than this terminal has',
  ])
})

test('when the terminal is made narrower or wider meanwhile, nothing is left behind either', () => {
  const { terminal, screen } = open(60)
  const lines = ['x'.repeat(55), 'short', '', 'y'.repeat(31)]
  for (const columns of [60, 30, 25, 60, 100]) {
    terminal.resize(columns)
    screen.draw(lines)
    expect(terminal.lines).toEqual([
      '$ turnout status --watch',
      ...lines.map((line) => (line.length < columns ? line : `${line.slice(0, columns - 2)}…`)),
    ])
  }
})

test('names cannot move the cursor', () => {
  const { terminal, screen } = open(40)
  screen.draw(['a\u001b[2Jb\nc'])
  expect(terminal.lines).toEqual(['$ turnout status --watch', 'a?[2Jb?c'])
})

test('wide characters count for two columns', () => {
  expect(['abc', '版本', '🚀', 'é', 'e\u0301', '█ 5 %'].map(widthOf)).toEqual([3, 4, 2, 1, 1, 5])
  const { terminal, screen } = open(11)
  screen.draw(['版本版本版本'])
  expect(terminal.lines.at(-1)).toBe('版本版本…')
})

test('text is wrapped between words, and none is lost', () => {
  expect(wrapped('one two three', 9)).toEqual(['one two', '  three'])
  expect(wrapped('one two three', 9, '  ')).toEqual(['  one two', '    three'])
  expect(wrapped('a wordthatislong b', 9, ' ')).toEqual([' a', '   wordth', '   atislo', '   ng b'])
  const word = fc.stringMatching(/^[a-z]{1,12}$/)
  fc.assert(
    fc.property(fc.array(word, { minLength: 1 }), fc.integer({ min: 14, max: 60 }), (words, columns) => {
      const lines = wrapped(words.join(' '), columns)
      expect(lines.join(' ').split(/ +/)).toEqual(words)
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns)
    }),
  )
})
