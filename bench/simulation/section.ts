/** A section of the report, and how much is to be run for it. */

export interface Run {
  /** Runs of a row where nothing else is said. */
  readonly runs: number
  readonly seed: number
  /** Told of each row, for people who wait. */
  say(line: string): void
}

export interface Made {
  /** Markdown. */
  readonly text: string
  /** By name of the file, as SVG. */
  readonly plots: Readonly<Record<string, string>>
}

export type Section = (run: Run) => Made

/** The image as the report shows it. */
export const shown = (file: string, words: string) => `![${words}](plots/${file})`
