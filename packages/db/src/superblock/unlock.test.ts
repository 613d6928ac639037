import { fixture } from '@cowherd/fixtures'
import { encodeUtf8, hexText } from '@cowherd/kernel-lib'
import { nativeCodecs } from '@cowherd/shim'
import { openStore } from '@cowherd/store'
import { expect, test } from 'vitest'
import { SuperblockImage } from '../../test/superblock-image.ts'
import { readSuperblock } from './read.ts'
import { needsPassphrase, unlock } from './unlock.ts'

const codecs = nativeCodecs()
/** scrypt takes its time, on purpose. */
const TIMEOUT_MS = 60_000
const typed = (text: string) => () => encodeUtf8(text)
const unhex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

function readFixture(name: string) {
  const store = openStore(fixture(name).devices[0], { lock: false })
  const superblock = readSuperblock(store, codecs)
  store.close()
  return superblock
}

/** Image A of format chapter 1, 9.5. */
function vectorImage(): SuperblockImage {
  const image = new SuperblockImage()
  image.head.uuid.set(unhex('7acb52d5e8d342a0b55557f47f72aa52'))
  return image
    .flag(1, 10, 14, 1)
    .set(
      'crypt',
      unhex(
        '00000000000000000e00030004000000e6b773e02e445846' +
          'e4d6bebc349a7c05513b0b58ab6234a0a495a95f7202b08ce9011167788e4dc8',
      ),
    )
}

test('the known key comes out of the known section', { timeout: TIMEOUT_MS }, () => {
  const superblock = readSuperblock(vectorImage().device(), codecs)
  const key = unlock(superblock, codecs, typed('secret pass'))
  expect(hexText(key ?? new Uint8Array())).toBe('fc57a3baf4190a365ec935e3eb60e68bee5f4dc3085c0ae6c25996f9bf6b4140')
})

test('golden volumes', { timeout: TIMEOUT_MS }, () => {
  expect(unlock(readFixture('encrypted'), codecs, typed('cowherd'))).toHaveLength(32)
  expect(needsPassphrase(readFixture('encrypted-nopass'))).toBe(false)
  expect(unlock(readFixture('encrypted-nopass'), codecs)).toHaveLength(32)
  expect(unlock(readFixture('default'), codecs, typed('ignored'))).toBeUndefined()
})

test('a wrong passphrase, none, and unreasonable cost', { timeout: TIMEOUT_MS }, () => {
  const superblock = readFixture('encrypted')
  expect(() => unlock(superblock, codecs, typed('cowherd '))).toThrow(
    expect.objectContaining({ code: 'EACCES', message: 'wrong passphrase' }),
  )
  expect(() => unlock(superblock, codecs)).toThrow(
    expect.objectContaining({ code: 'EACCES', message: 'the volume is encrypted and needs a passphrase' }),
  )
  expect(() => unlock(superblock, codecs, () => undefined)).toThrow('needs a passphrase')
  for (const cost of [
    [40, 3, 4],
    [14, 65535, 4],
    [14, 3, 60],
    [0, 0, 0],
  ]) {
    const image = vectorImage()
    const view = new DataView(image.body('crypt').buffer)
    cost.forEach((value, i) => view.setUint16(8 + 2 * i, value, true))
    const hostile = readSuperblock(image.device(), codecs)
    expect(() => unlock(hostile, codecs, typed('x'))).toThrow(expect.objectContaining({ code: 'EIO' }))
  }
})
