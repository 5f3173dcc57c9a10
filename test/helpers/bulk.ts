/**
 * How much of a bulk a test takes: `some` for everyday, which must still fail without the behaviour that is tested, and `whole` in
 * `.ci/run`, which sets TURNOUT_TESTS=whole.
 */
export const bulk = (some: number, whole: number): number => (process.env['TURNOUT_TESTS'] === 'whole' ? whole : some)

/** Workers of a proxy in tests that must hold with any number of them, and would fail with one, too. */
export const WORKERS = bulk(1, 2)
