/** Families with series for targets: which targets have them is the one thing that differs between rooms. */
import type { Family, Sample, Scrape, ScrapedTarget } from './family.ts'

/** Makers of families for the targets that `among` picks. */
export function familiesOf(among: (scrape: Scrape) => readonly ScrapedTarget[]) {
  return {
    /** A family with one series for each target; `scale` turns the unit of the field into that of the name. */
    perTarget(name: string, type: 'counter' | 'gauge', help: string, field: number, scale = 1): Family {
      const read = (scrape: Scrape): Sample[] =>
        among(scrape).map(({ labels, tally }) => ({ value: tally[field] * scale, sharedLabels: labels }))
      return { name, type, help, read }
    },
    /** A family with one series for each target and value of one more label, from a field each. */
    perTargetAnd(
      name: string,
      help: string,
      label: string,
      fields: Readonly<Record<string, number>>,
      scale = 1,
    ): Family {
      const read = (scrape: Scrape): Sample[] =>
        among(scrape).flatMap(({ labels, tally }) =>
          Object.entries(fields).map(([value, field]) => ({
            value: tally[field] * scale,
            labels: { [label]: value },
            sharedLabels: labels,
          })),
        )
      return { name, type: 'counter', help, read }
    },
  }
}
