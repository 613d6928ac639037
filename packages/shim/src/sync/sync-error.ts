/** What goes wrong between threads: a wrong use of a primitive (a bug of the caller), and an owner that died. */

/** A lock is used against its rules: unlocked without being held, locked twice by one thread, or in the wrong order. */
export class LockUseError extends Error {
  override readonly name = 'LockUseError'
}

/**
 * The thread that holds what we wait for has died. The lock stays as it is, and everybody who comes for it gets this
 * error: what it guards may be half changed.
 */
export class OwnerDeadError extends Error {
  override readonly name = 'OwnerDeadError'
  readonly code = 'EOWNERDEAD'
  /** Id of the dead thread. */
  readonly owner: number

  constructor(owner: number) {
    super(`thread ${owner & 0xff} (id ${owner}) died while it held the lock`)
    this.owner = owner
  }
}
