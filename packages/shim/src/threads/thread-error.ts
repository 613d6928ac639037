/** What a joiner gets instead of a value: the thread failed with an error of its own, or it died without a word. */

/** An error as it goes from thread to thread: a structured clone would lose its class, code and cause. */
export interface ErrorDescription {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  readonly code: string | undefined
}

/** The thread ended by an error that nobody caught in it. `cause` has that error's name, message, code, and its stack in the thread. */
export class ThreadFailedError extends Error {
  override readonly name = 'ThreadFailedError'
  /** Name of the thread. */
  readonly thread: string
  override readonly cause: Error

  constructor(thread: string, description: ErrorDescription) {
    super(`thread ${thread} failed: ${description.name}: ${description.message}`)
    this.thread = thread
    this.cause = errorFrom(description)
  }
}

/** The thread is gone and left neither a value nor an error: terminated, out of memory, or by `process.exit`. */
export class ThreadDiedError extends Error {
  override readonly name = 'ThreadDiedError'
  readonly code = 'ETHREADDIED'
  /** Name of the thread. */
  readonly thread: string
  /** Exit code, where one is known. */
  readonly exitCode: number | undefined

  constructor(thread: string, exitCode: number | undefined, cause?: unknown) {
    const how = exitCode === undefined ? '' : ` with exit code ${exitCode}`
    super(`thread ${thread} died${how}`, cause === undefined ? undefined : { cause })
    this.thread = thread
    this.exitCode = exitCode
  }
}

/** Whatever was thrown, in a form that can be posted. */
export function describeError(error: unknown): ErrorDescription {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined, code: undefined }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return { name: error.name, message: error.message, stack: error.stack, code }
}

function errorFrom({ name, message, stack, code }: ErrorDescription): Error {
  const error = new Error(message)
  error.name = name
  if (stack !== undefined) error.stack = stack
  return code === undefined ? error : Object.assign(error, { code })
}
