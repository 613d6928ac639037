/**
 * What may come out of a damaged volume: success, or an error of the known families whose message is one readable line. Anything
 * else is a finding.
 */

import { VolumeError } from '@cowherd/db'
import { CodecError, DeviceError } from '@cowherd/shim'

/** Something that must not happen, whatever a volume contains. */
export class Finding extends Error {
  override readonly name = 'Finding'
}

/** Returns the error if it is one that may be thrown for a damaged volume; throws a Finding otherwise. */
export function allowed(error: unknown): Error {
  if (error instanceof Finding) throw error
  if (error instanceof VolumeError || error instanceof DeviceError || error instanceof CodecError) {
    checkMessage(error.message)
    return error
  }
  throw new Finding(error instanceof Error ? `${error.name}: ${error.message}` : String(error), { cause: error })
}

/** Runs `use`. Returns false if it ended with an error that may be; throws a Finding if with another. */
export function attempt(use: () => void): boolean {
  try {
    use()
    return true
  } catch (error) {
    allowed(error)
    return false
  }
}

/** Throws a Finding unless `message` is one line that a user can read. */
export function checkMessage(message: string): void {
  if (message.trim() === '') throw new Finding('an empty message')
  // eslint-disable-next-line no-control-regex -- control characters are what it looks for
  if (/[\x00-\x1f\x7f-\x9f]/.test(message)) throw new Finding(`control characters in ${JSON.stringify(message)}`)
  if (message.length > 4000) throw new Finding(`a message of ${message.length} characters: ${message.slice(0, 300)}`)
  checkText(message)
}

/** Throws a Finding if `text` shows a slip of the program instead of what lies on the volume. */
export function checkText(text: string): void {
  const slip = /\bundefined\b|\bNaN\b|\[object |\bInfinity\b/.exec(text)
  if (slip === null) return
  const around = text.slice(Math.max(0, slip.index - 60), slip.index + 60)
  throw new Finding(`'${slip[0]}' in the text ${JSON.stringify(around)}`)
}

/** Throws a Finding if `value`, made for JSON, holds what JSON has no place for. Bigints are fine. */
export function checkPlain(value: unknown, path: string): void {
  if (value === undefined || Number.isNaN(value) || typeof value === 'function') {
    throw new Finding(`${path} is ${typeof value}, ${String(value)}`)
  }
  if (typeof value !== 'object' || value === null) return
  for (const [name, inner] of Object.entries(value)) checkPlain(inner, `${path}.${name}`)
}
