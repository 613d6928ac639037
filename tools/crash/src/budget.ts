/** How much is tried: in CI what is over in some seconds, always the same; COWHERD_SOAK=1: far more, from a new seed that failures print. */

const isSoak = process.env['COWHERD_SOAK'] === '1'

export const seed = Number(process.env['SEED'] ?? 1)
/** States tried at each point of a recording. */
export const statesPerPoint = isSoak ? 200 : 10
/** Of how many states the real fsck sees one. */
export const statesPerFsck = isSoak ? 20 : 40
/** Steps of a database beside its model, and transactions of one whose power is cut. */
export const modelSteps = isSoak ? 4_000 : 400
export const cutTransactions = Number(process.env['TRANS'] ?? 150)
/** States tried of each database whose power is cut. */
export const databaseStates = Number(process.env['STATES'] ?? 40)
/** How long a test may take that grows with these numbers. */
export const timeoutMs = 36000000
