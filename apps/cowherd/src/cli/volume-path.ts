/**
 * Paths inside a volume as they stand on the command line: from the root of the volume, with or without a slash before
 * them. Where a terminal showed a name with `\ooo` in it, that form is understood too.
 */

import { VolumeError } from '@cowherd/db'
import type { FileSystemReader, NodeRef, ResolveOptions } from '@cowherd/fs'
import { printable } from './text.ts'

/** A file that was named on the command line. */
export interface NamedFile {
  readonly ref: NodeRef
  /** Its path from the root, as it was given: no slash at either end, empty for the root itself. */
  readonly path: Uint8Array
}

/** Finds what `text` names. Throws VolumeError (ENOENT, ENOTDIR, ELOOP ...) that says so. */
export function findFile(fs: FileSystemReader, text: string, options: ResolveOptions = {}): NamedFile {
  const path = new TextEncoder().encode(text)
  const trimmed = trimSlashes(path)
  try {
    return { ref: fs.resolve(path, options), path: trimmed }
  } catch (error) {
    const unescaped = unescapeOctal(path)
    const isAboutPath = error instanceof VolumeError && error.code === 'ENOENT'
    if (!isAboutPath || unescaped === undefined) throw error
    try {
      return { ref: fs.resolve(unescaped, options), path: trimSlashes(unescaped) }
    } catch {
      throw error
    }
  }
}

/** The path with its `\ooo` read as bytes; undefined if there are none. */
function unescapeOctal(path: Uint8Array): Uint8Array | undefined {
  const bytes: number[] = []
  for (let at = 0; at < path.length; at++) {
    const digits = path[at] === 0x5c ? String.fromCharCode(...path.subarray(at + 1, at + 4)) : ''
    const isEscape = /^[0-3][0-7]{2}$/.test(digits)
    bytes.push(isEscape ? parseInt(digits, 8) : (path[at] ?? 0))
    if (isEscape) at += 3
  }
  return bytes.length === path.length ? undefined : Uint8Array.from(bytes)
}

function trimSlashes(path: Uint8Array): Uint8Array {
  let start = 0
  let end = path.length
  while (start < end && path[start] === SLASH) start++
  while (end > start && path[end - 1] === SLASH) end--
  return path.subarray(start, end)
}

const SLASH = 0x2f

/** `a` and `b` with a slash between; either may be empty. */
export function joinPaths(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b
  if (b.length === 0) return a
  const path = new Uint8Array(a.length + 1 + b.length)
  path.set(a)
  path[a.length] = SLASH
  path.set(b, a.length + 1)
  return path
}

/** The last name of a path. */
export function baseName(path: Uint8Array): Uint8Array {
  return path.subarray(path.lastIndexOf(SLASH) + 1)
}

/** What went wrong with a file of the volume, for a message: the path first, once. Throws what is no VolumeError. */
export function failureText(path: Uint8Array | string, error: unknown): string {
  if (!(error instanceof VolumeError)) throw error
  const text = typeof path === 'string' ? printable(path) : pathText(path)
  return error.where === text ? error.message : `${text}: ${error.message}`
}

/** A path for a message. */
export function pathText(path: Uint8Array): string {
  return path.length === 0 ? '/' : printable(path)
}
