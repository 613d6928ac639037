/**
 * How much is tried: in CI what is over in some seconds, always the same; COWHERD_SOAK=1: far more, from a new seed that failures print.
 * COWHERD_SEED makes it the same again, COWHERD_STATE begins with the state of that number.
 */

export const isSoak = process.env['COWHERD_SOAK'] === '1'

export const seed = Number(process.env['COWHERD_SEED'] ?? (isSoak ? Date.now() % 2 ** 31 : 1))
/** The first state that is tried, of those that are numbered through. */
export const firstState = Number(process.env['COWHERD_STATE'] ?? 0)
/** States tried at each point of a recording. */
export const statesPerPoint = isSoak ? 200 : 10
/** Of how many states the real fsck sees one. */
export const statesPerFsck = isSoak ? 20 : 40
/** Steps of a database beside its model, and transactions of one whose power is cut. */
export const modelSteps = isSoak ? 4_000 : 400
export const cutTransactions = isSoak ? 1_000 : 150
/** States tried of each database whose power is cut, and of how many the real fsck sees one, as it is and recovered. */
export const databaseStates = isSoak ? 400 : 34
export const databaseStatesPerFsck = isSoak ? 3 : 1
/** What is done to a nearly full volume. */
export const fullLifeSteps = isSoak ? 100_000 : 4_000
/** Operations of a filesystem from a start to the end of its process, states tried of it, and of how many the real fsck sees one. */
export const fileOperations = isSoak ? 400 : 60
export const fileSystemStates = isSoak ? 400 : 10
export const fileSystemStatesPerFsck = 5
/** Entries of the journal that are cut in the middle. */
export const entriesTorn = isSoak ? 200 : 40
/** Transactions in each of three openings of a golden volume. */
export const goldenSteps = isSoak ? 2_000 : 150
/** How long a test may take that grows with these numbers. */
export const timeoutMs = isSoak ? 6 * 3_600_000 : 300_000
