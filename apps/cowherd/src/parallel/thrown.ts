/** Errors that a thread hands to another: what ends the command there must end it here, in the same words. */

import { VolumeError } from '@cowherd/db'
import { DeviceError } from '@cowherd/shim'
import { CommandError, ExitCode } from '../cli/exit-code.ts'
import type { ThrownText } from './messages.ts'

/** A reader failed by an error that should not have happened. Its stack is that of the reader. */
export class ReaderError extends Error {
  override readonly name = 'ReaderError'

  constructor({ name, message, stack }: ThrownText) {
    super(`in a thread that reads: ${name}: ${message}`)
    this.stack = stack
  }
}

export function describeThrown(error: unknown): ThrownText {
  if (!(error instanceof Error)) return { isOperational: false, name: 'Error', message: String(error), stack: '' }
  const isSystem = 'syscall' in error && 'code' in error
  const isOperational =
    isSystem || error instanceof DeviceError || error instanceof VolumeError || error instanceof CommandError
  return { isOperational, name: error.name, message: error.message, stack: error.stack ?? '' }
}

/** The error to throw here. `exitCode`: of the command, if the error is no bug. */
export function thrownHere(thrown: ThrownText, exitCode: ExitCode = ExitCode.incomplete): Error {
  return thrown.isOperational ? new CommandError(exitCode, thrown.message) : new ReaderError(thrown)
}
