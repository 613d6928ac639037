/** How much is tried: in CI what is over in some seconds, always the same; COWHERD_SOAK=1: far more, from a new seed that failures print. */

const isSoak = process.env['COWHERD_SOAK'] === '1'

export const seed = isSoak ? Date.now() % 2 ** 31 : 1
/** States tried at each point of a recording. */
export const statesPerPoint = isSoak ? 200 : 10
/** Of how many states the real fsck sees one. */
export const statesPerFsck = isSoak ? 20 : 40
