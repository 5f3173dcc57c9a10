/**
 * How much of a bulk a test takes: `some` for everyday, which must still fail without the behaviour that is tested, and `whole` in
 * `.ci/run`, which sets TURNOUT_TESTS=whole.
 */
export const bulk = (some: number, whole: number): number => (process.env['TURNOUT_TESTS'] === 'whole' ? whole : some)
