/** Gets a volume's master key, and puts it away. Format chapter 1, 9.4. */

import { u32 } from '@cowherd/kernel-lib'
import { CodecError, type Codecs } from '@cowherd/shim'
import { VolumeError } from '../errors.ts'
import { sameBytes } from './magic.ts'
import { KEY_MARKER, makeCrypt, type CryptSection } from './sections/crypt.ts'
import { viewOf, type Section } from './sections/section.ts'
import type { Superblock } from './superblock.ts'

/** `bcache`, with its NUL. */
const SALT = Uint8Array.of(0x62, 0x63, 0x61, 0x63, 0x68, 0x65, 0)
const PASSPHRASE_KEY_BYTES = 32
const KDF_DEFAULT = { logN: 14, logR: 3, logP: 4 }

/** True if the volume can't be read without a passphrase. */
export function needsPassphrase(superblock: Superblock): boolean {
  return superblock.crypt?.needsPassphrase === true
}

/**
 * The 32-byte master key; undefined if the volume never was encrypted. `passphrase` is asked only if the key is wrapped;
 * it gives what was typed, without the newline. Throws VolumeError EACCES if it is wrong or there is none.
 */
export function unlock(
  superblock: Superblock,
  codecs: Codecs,
  passphrase?: () => Uint8Array | undefined,
): Uint8Array | undefined {
  const { crypt } = superblock
  if (crypt === undefined) return undefined
  if (!crypt.needsPassphrase) return crypt.key.slice(KEY_MARKER.length)
  const typed = passphrase?.()
  if (typed === undefined) {
    throw new VolumeError('EACCES', '', 'the volume is encrypted and needs a passphrase')
  }
  const passphraseKey = derivedKey(crypt, codecs, typed)
  const key = crypt.key.slice()
  codecs.chacha20(passphraseKey, wrapNonce(superblock.uuid), key)
  if (!sameBytes(key.subarray(0, KEY_MARKER.length), KEY_MARKER))
    throw new VolumeError('EACCES', '', 'wrong passphrase')
  return key.slice(KEY_MARKER.length)
}

/**
 * The section for a master key of 32 bytes, wrapped by a passphrase; plain without one. `kdf`: what scrypt is to cost, left out what the
 * reference takes.
 */
export function lock(
  masterKey: Uint8Array,
  uuid: Uint8Array,
  codecs: Codecs,
  passphrase: Uint8Array | undefined,
  kdf: CryptSection['kdf'] = KDF_DEFAULT,
): Section {
  const key = new Uint8Array([...KEY_MARKER, ...masterKey])
  if (passphrase === undefined) return makeCrypt({ kdf: { logN: 0, logR: 0, logP: 0 }, key })
  codecs.chacha20(derivedKey({ kdf }, codecs, passphrase), wrapNonce(uuid), key)
  return makeCrypt({ kdf, key })
}

/** scrypt as the section says; the codecs refuse what costs more than any volume was made with. */
function derivedKey({ kdf }: Pick<CryptSection, 'kdf'>, codecs: Codecs, passphrase: Uint8Array): Uint8Array {
  const cost = { logN: kdf.logN, r: 2 ** kdf.logR, p: 2 ** kdf.logP }
  try {
    return codecs.scrypt(passphrase, SALT, cost, PASSPHRASE_KEY_BYTES)
  } catch (error) {
    if (!(error instanceof CodecError)) throw error
    throw new VolumeError('EIO', 'superblock section crypt', error.message, { cause: error })
  }
}

/** The first 8 bytes of the internal uuid in the upper words. */
function wrapNonce(uuid: Uint8Array): Uint32Array {
  const view = viewOf(uuid)
  return Uint32Array.of(0, 0, u32.read(view, 0), u32.read(view, 4))
}
