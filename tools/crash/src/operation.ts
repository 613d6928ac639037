/** A call of a filesystem that is made on a model of it too. */

/** A file whose content changes in several transactions. */
export interface ChangingFile {
  readonly id: string
  /** From the first transaction on it holds what it is to hold; recovery sees to the sectors. */
  readonly isFinished: boolean
  /** The bytes that change one after the other; all others have changed when the first transaction has. */
  readonly from: number
  readonly to: number
}

export interface Operation {
  readonly what: string
  readonly changing: ChangingFile | undefined
  /** How many transactions it may take. */
  readonly transactionsMax: number
  readonly run: () => void
}

/** Undefined where there is nothing that it could be made for. */
export type Chooser = () => Operation | undefined
