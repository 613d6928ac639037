/** What the records of a pax header say about a file. Sources: POSIX.1-2017 (pax), the GNU tar manual ("Extended attributes"), tar(5) of libarchive, star(5). */

import type { Attribute, Time } from '@cowherd/fs'
import { latin1, parsePaxTime, type PaxRecord } from './pax-records.ts'

/** What is not said is undefined. */
export interface PaxFields {
  readonly path: Uint8Array | undefined
  readonly target: Uint8Array | undefined
  readonly size: number | undefined
  readonly uid: number | undefined
  readonly gid: number | undefined
  readonly major: number | undefined
  readonly minor: number | undefined
  readonly mtime: Time | undefined
  readonly atime: Time | undefined
  readonly attributes: readonly Attribute[]
  /** ACLs as text, by the names of their attributes. */
  readonly accessLists: readonly { readonly name: string; readonly text: string }[]
  /** What else is said that no volume can keep. */
  readonly others: readonly string[]
}

const XATTR = 'SCHILY.xattr.'
const LIBARCHIVE_XATTR = 'LIBARCHIVE.xattr.'
const ACCESS_LISTS: Readonly<Record<string, string>> = {
  'SCHILY.acl.access': 'system.posix_acl_access',
  'SCHILY.acl.default': 'system.posix_acl_default',
}
const OTHERS: Readonly<Record<string, string>> = {
  'SCHILY.acl.ace': 'access control lists of NFS',
  'SCHILY.fflags': 'file flags',
}

/** The last record of each kind counts; an empty one takes back what was said. Undefined if a number or time is malformed. */
export function paxFields(records: readonly PaxRecord[]): PaxFields | undefined {
  const values = new Map(records.map(({ keyword, value }) => [keyword, value]))
  let isSound = true
  const bytes = (keyword: string): Uint8Array | undefined => {
    const value = values.get(keyword)
    return value === undefined || value.length === 0 ? undefined : value
  }
  const parsed = <T>(keyword: string, parse: (text: string) => T | undefined): T | undefined => {
    const value = bytes(keyword)
    const result = value === undefined ? undefined : parse(latin1(value))
    if (value !== undefined && result === undefined) isSound = false
    return result
  }
  const fields = {
    path: bytes('path'),
    target: bytes('linkpath'),
    size: parsed('size', parseNumber),
    uid: parsed('uid', parseNumber),
    gid: parsed('gid', parseNumber),
    major: parsed('SCHILY.devmajor', parseNumber),
    minor: parsed('SCHILY.devminor', parseNumber),
    mtime: parsed('mtime', parsePaxTime),
    atime: parsed('atime', parsePaxTime),
    attributes: attributesOf(values),
    accessLists: Object.entries(ACCESS_LISTS).flatMap(([keyword, name]) => {
      const value = bytes(keyword)
      return value === undefined ? [] : [{ name, text: new TextDecoder().decode(value) }]
    }),
    others: Object.keys(OTHERS).flatMap((keyword) => (bytes(keyword) === undefined ? [] : [OTHERS[keyword]])),
  }
  return isSound ? fields : undefined
}

function parseNumber(text: string): number | undefined {
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** Attributes may be empty. Where two programs' ways to write one are used, the first one's counts. */
function attributesOf(values: ReadonlyMap<string, Uint8Array>): Attribute[] {
  const attributes: Attribute[] = []
  for (const [keyword, value] of values) {
    if (keyword.startsWith(XATTR)) {
      attributes.push({ name: bytesOf(unescaped(keyword.slice(XATTR.length))), value })
    } else if (keyword.startsWith(LIBARCHIVE_XATTR)) {
      const name = decoded(keyword.slice(LIBARCHIVE_XATTR.length))
      if (!values.has(XATTR + name))
        attributes.push({ name: bytesOf(name), value: Buffer.from(latin1(value), 'base64') })
    } else if (keyword === 'RHT.security.selinux') {
      attributes.push({ name: bytesOf('security.selinux'), value: Buffer.concat([value, Buffer.of(0)]) })
    }
  }
  return attributes
}

/** GNU tar's way for the characters that may not be in a keyword. */
function unescaped(name: string): string {
  return name.replace(/%(3D|25)/g, (_, code: string) => (code === '25' ? '%' : '='))
}

/** libarchive's, which is that of URLs. */
function decoded(name: string): string {
  return name.replace(/%([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}
