/**
 * How much is tried: in CI what is over in some seconds, always the same; COWHERD_SOAK=1: far more, from a new seed that failures print.
 * COWHERD_SEED makes it the same again.
 */

const isSoak = process.env['COWHERD_SOAK'] === '1'

export const seed = Number(process.env['COWHERD_SEED'] ?? (isSoak ? Date.now() % 2 ** 31 : 1))
/** Of how many known mutants the real fsck sees one. */
export const mutantsPerFsck = isSoak ? 1 : 8
export const randomMutants = isSoak ? 500 : 6
