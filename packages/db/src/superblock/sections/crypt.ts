/**
 * Section `crypt`: the volume's master key, plain or wrapped by a key made from a passphrase. It stays when encryption is
 * switched off, since old data remain encrypted. Format chapter 1, 4.3 and 9.4.
 */

import { bits64, bytes, column, struct } from '@cowherd/kernel-lib'
import { sameBytes } from '../magic.ts'
import { Malformed } from '../malformed.ts'
import { findSection, makeSection, requireBytes, SectionHeader, viewOf, type Section } from './section.ts'

export const CryptRecord = struct({
  header: SectionHeader,
  flags: bits64({ kdfType: [0, 4] }),
  kdfFlags: bits64({ logN: [0, 16], logR: [16, 32], logP: [32, 48] }),
  key: bytes(40), // marker, master key
})

/** What the first 8 bytes of an unwrapped key are: `bch**key`. */
export const KEY_MARKER = Uint8Array.of(0x62, 0x63, 0x68, 0x2a, 0x2a, 0x6b, 0x65, 0x79)
const KDF_SCRYPT = 0

export interface CryptSection {
  /** scrypt's cost parameters as logarithms of N, r and p. */
  readonly kdf: { readonly logN: number; readonly logR: number; readonly logP: number }
  /** Marker and master key (8 + 32 bytes), wrapped if the volume has a passphrase. */
  readonly key: Uint8Array
  /** True if the key is wrapped. */
  readonly needsPassphrase: boolean
}

/** The section, undefined if the volume never was encrypted. Throws Malformed. */
export function readCrypt(sections: readonly Section[]): CryptSection | undefined {
  const section = findSection(sections, 'crypt')
  if (section === undefined) return undefined
  const { flags, kdfFlags, key } = cryptOf(section)
  if (flags.kdfType !== KDF_SCRYPT) throw new Malformed(`section crypt: unknown key derivation ${flags.kdfType}`)
  return { kdf: kdfFlags, key, needsPassphrase: !sameBytes(key.subarray(0, KEY_MARKER.length), KEY_MARKER) }
}

/** The section. */
export function makeCrypt({ kdf, key }: Pick<CryptSection, 'kdf' | 'key'>): Section {
  const record = { header: { u64s: 0, type: 0 }, flags: { kdfType: KDF_SCRYPT }, kdfFlags: kdf, key }
  return makeSection('crypt', CryptRecord.bytes(record).subarray(SectionHeader.size))
}

/** As `show-super` prints the section, spelling included. */
export function printCrypt(section: Section): string {
  const { flags, kdfFlags } = cryptOf(section)
  const lines: [string, number][] = [
    ['KFD:', flags.kdfType],
    ['scrypt n:', kdfFlags.logN],
    ['scrypt r:', kdfFlags.logR],
    ['scrypt p:', kdfFlags.logP],
  ]
  return lines.map(([name, value]) => `${column(name, 19)}${value}\n`).join('')
}

function cryptOf(section: Section) {
  requireBytes(section, CryptRecord.size)
  return CryptRecord.read(viewOf(section.bytes), 0)
}
