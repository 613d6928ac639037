/**
 * Changes what the superblocks of a volume say, while nobody has it open: options, the passphrase, the states of devices. Nothing else of
 * the volume is touched. Format chapter 1, 7.1, 9.4.
 */

import type { Codecs, WritableBlockDevice } from '@cowherd/shim'
import { SuperblockError, VolumeError } from '../errors.ts'
import { METADATA_CHECKSUM_TYPES } from '../integrity-seal.ts'
import { assemble } from './assemble.ts'
import { isDevicesOwn, SuperblockDraft } from './draft.ts'
import { FEATURES } from './features.ts'
import { Flag } from './flags.ts'
import { Malformed } from './malformed.ts'
import { OPTIONS, type OptionName, type Options } from './options.ts'
import { readSuperblock } from './read.ts'
import { groupPath } from './sections/disk-groups.ts'
import { KEY_MARKER, makeCrypt } from './sections/crypt.ts'
import { makeMembers, MEMBER_STATES, type Member } from './sections/members.ts'
import type { Superblock } from './superblock.ts'
import { encodeTarget } from './targets.ts'
import { lock, unlock } from './unlock.ts'
import { VERSION_CURRENT, versionText } from './versions.ts'
import { writeSuperblocks, type SuperblockTarget } from './write.ts'

/** What can't be changed any more once there is anything on the volume. */
const FIXED: readonly OptionName[] = ['blockSize', 'btreeNodeSize']

export class SuperblockEdit {
  /** As it is on the devices. */
  readonly superblock: Superblock
  private readonly draft: SuperblockDraft
  private readonly targets: readonly SuperblockTarget[]
  private readonly codecs: Codecs
  private members: readonly Member[]

  /** `devices`: all of the volume's, in any order. Throws SuperblockError; EOPNOTSUPP for volumes of another version than 1.13. */
  constructor(devices: readonly WritableBlockDevice[], codecs: Codecs) {
    const candidates = devices.map((device) => ({ device, superblock: readSuperblock(device, codecs) }))
    const { best, superblocks } = assemble(candidates)
    if (best.version !== VERSION_CURRENT || best.versionUpgradeComplete !== VERSION_CURRENT) {
      const message = `a volume of version ${versionText(best.version)} is not changed, only those of 1.13 are`
      throw new SuperblockError('EOPNOTSUPP', devices[0].name, message)
    }
    this.superblock = best
    this.draft = SuperblockDraft.of(best)
    this.codecs = codecs
    this.members = best.members
    this.targets = candidates
      .filter(({ superblock }) => superblocks.includes(superblock))
      .map(({ device, superblock: { deviceIndex, layout, sections } }) => {
        return {
          device: deviceOf(devices, device.name),
          index: deviceIndex,
          layout,
          sections: sections.filter(isDevicesOwn),
          order: sections.map(({ type }) => type),
        }
      })
  }

  /** Sets an option to what `text` says. Throws SuperblockError EINVAL. */
  setOption(name: OptionName, text: string): void {
    if (FIXED.includes(name)) throw invalid(`option ${OPTIONS[name].name} is fixed for the life of a volume`)
    try {
      this.set(
        name,
        OPTIONS[name].parse(text, (target) => this.targetNumber(target)),
      )
    } catch (error) {
      throw error instanceof Malformed ? invalid(error.message, error) : error
    }
  }

  /**
   * Wraps the volume's key by another passphrase; without one it lies in the superblock from now on. `old` gives the present one.
   * Throws VolumeError EACCES if that is wrong, EINVAL if the volume isn't encrypted.
   */
  setPassphrase(old: () => Uint8Array | undefined, passphrase: Uint8Array | undefined): void {
    const { superblock, codecs } = this
    const { crypt } = superblock
    const key = unlock(superblock, codecs, old)
    if (crypt === undefined || key === undefined) throw new VolumeError('EINVAL', '', 'the volume is not encrypted')
    if (passphrase === undefined) {
      this.draft.setSection(makeCrypt({ kdf: crypt.kdf, key: new Uint8Array([...KEY_MARKER, ...key]) }))
      return
    }
    const kdf = crypt.kdf.logN === 0 ? undefined : crypt.kdf
    this.draft.setSection(lock(key, superblock.uuid, codecs, passphrase, kdf))
  }

  /** Throws SuperblockError EINVAL for a device that isn't there, or a state that isn't one. */
  setState(device: string, state: string): void {
    const index = this.indexOf(device)
    const wanted = MEMBER_STATES.find((each) => each === state)
    if (wanted === undefined) throw invalid(`state '${state}' is none of ${MEMBER_STATES.join(', ')}`)
    this.members = this.members.map((member) => (member.index === index ? { ...member, state: wanted } : member))
  }

  /** Writes all copies on all devices. `nowSeconds`: since 1970. Throws SuperblockError ENOSPC, and DeviceError. */
  write(nowSeconds: bigint): void {
    const { draft, targets } = this
    draft.seq += 1n
    draft.writeTime = nowSeconds
    const written = new Set(targets.map(({ index }) => index))
    const stamped = this.members.map((member) => (written.has(member.index) ? { ...member, seq: draft.seq } : member))
    for (const section of makeMembers(stamped)) draft.setSection(section)
    draft.setFlag(Flag.checksumType, METADATA_CHECKSUM_TYPES[draft.getOption('metadataChecksum')])
    writeSuperblocks(draft, targets, this.superblock.blockSectors * 512, this.codecs)
  }

  private set<K extends OptionName>(name: K, value: unknown): void {
    this.draft.setOption(name, value as Options[K])
    const compression = value as Options['compression']
    if (name === 'compression' || name === 'backgroundCompression') {
      if (compression.type !== 'none') this.draft.features |= 1n << BigInt(FEATURES.indexOf(compression.type))
    }
    if (name === 'erasureCode' && value === true) this.draft.features |= 1n << BigInt(FEATURES.indexOf('ec'))
  }

  private targetNumber(name: string): number {
    const target = this.targets.find(({ device }) => device.name === name)
    if (target !== undefined) return encodeTarget({ kind: 'device', index: target.index })
    const { diskGroups } = this.superblock
    const group = diskGroups.findIndex((_, index) => groupPath(diskGroups, index) === name)
    if (group < 0) throw new Malformed(`target '${name}' is neither a device nor a label of one`)
    return encodeTarget({ kind: 'group', index: group })
  }

  /** By path, or by number. */
  private indexOf(device: string): number {
    const target = this.targets.find((each) => each.device.name === device || String(each.index) === device)
    if (target === undefined) throw invalid(`'${device}' is no device of the volume`)
    return target.index
  }
}

function deviceOf(devices: readonly WritableBlockDevice[], name: string): WritableBlockDevice {
  const device = devices.find((each) => each.name === name)
  if (device === undefined) throw new RangeError(`no device ${name}`)
  return device
}

function invalid(message: string, cause?: Error): SuperblockError {
  return new SuperblockError('EINVAL', '', message, cause === undefined ? {} : { cause })
}
