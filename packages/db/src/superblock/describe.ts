/**
 * A superblock as a plain object, for JSON. Values are in the units of `Superblock`: sectors, seconds, ns; sizes of
 * options in bytes. 64-bit numbers are bigint, uuids text, bit sets lists of names.
 */

import { decodeUtf8, uuidText } from '@cowherd/kernel-lib'
import { BTREE_NAMES } from '../btree-ids.ts'
import { CHECKSUM_TYPES } from '../checksum.ts'
import { DATA_TYPES, dataTypeName } from '../data-types.ts'
import { ERROR_NAMES, errorName } from './error-ids.ts'
import { bitNames, COMPAT_FEATURES, FEATURES } from './features.ts'
import { OPTIONS, type OptionName } from './options.ts'
import { passNames } from './recovery-passes.ts'
import { COUNTER_NAMES } from './sections/counters.ts'
import { groupPath } from './sections/disk-groups.ts'
import type { Member } from './sections/members.ts'
import { QUOTA_TYPES } from './sections/quota.ts'
import { sectionName } from './sections/section.ts'
import type { Superblock } from './superblock.ts'
import { decodeTarget } from './targets.ts'
import { versionText } from './versions.ts'

/** All that `show-super` tells, and where it was read. */
export function describeSuperblock(superblock: Superblock): Record<string, unknown> {
  return {
    userUuid: uuidText(superblock.userUuid),
    uuid: uuidText(superblock.uuid),
    label: decodeUtf8(superblock.label),
    version: versionText(superblock.version),
    versionUpgradeComplete: versionText(superblock.versionUpgradeComplete),
    versionMin: versionText(superblock.versionMin),
    createdNs: superblock.timeBaseNs,
    seq: superblock.seq,
    writeTime: superblock.writeTime,
    sector: superblock.sector,
    bytes: superblock.bytes.length,
    clean: superblock.clean,
    initialized: superblock.initialized,
    hasErrors: superblock.hasErrors,
    hasTopologyErrors: superblock.hasTopologyErrors,
    encrypted: superblock.encryptionType !== 0,
    checksumType: CHECKSUM_TYPES[superblock.checksumType].name,
    deviceIndex: superblock.deviceIndex,
    deviceCount: superblock.deviceCount,
    timePrecisionNs: superblock.timePrecisionNs,
    features: bitNames(superblock.features, FEATURES),
    compatFeatures: bitNames(superblock.compat, COMPAT_FEATURES),
    options: describeOptions(superblock),
    layout: superblock.layout,
    sections: superblock.sections.map(({ type, bytes }) => ({ name: sectionName(type), bytes: bytes.length })),
    ...describeSections(superblock),
  }
}

function describeSections(superblock: Superblock): Record<string, unknown> {
  const { cleanSection, crypt, ext } = superblock
  return {
    members: superblock.members.map((member) => (member.alive ? describeMember(member, superblock) : null)),
    journalBuckets: superblock.journalBuckets.runs,
    blacklist: superblock.blacklist,
    cleanSection: cleanSection === undefined ? null : { journalSeq: cleanSection.journalSeq },
    replicas: superblock.replicas.map((entry) => ({ ...entry, dataType: dataTypeName(entry.dataType) })),
    diskGroups: superblock.diskGroups.map((_, i) => groupPath(superblock.diskGroups, i) ?? null),
    crypt: crypt === undefined ? null : { kdf: crypt.kdf, needsPassphrase: crypt.needsPassphrase },
    quota: Object.fromEntries(superblock.quota.map((limits, type) => [QUOTA_TYPES[type], limits])),
    counters: Object.fromEntries(superblock.counters.map((value, i) => [COUNTER_NAMES[i] ?? `counter ${i}`, value])),
    errors: superblock.errors.map(({ id, count, lastTime }) => ({ name: errorName(id), count, lastTime })),
    ext:
      ext === undefined
        ? null
        : {
            passesRequired: passNames(ext.passesRequired),
            errorsSilent: bitNames(ext.errorsSilent, ERROR_NAMES),
            btreesLostData: bitNames(ext.btreesLostData, BTREE_NAMES),
          },
    downgrade: superblock.downgrade.map(({ version, passes, errors }) => ({
      version: versionText(version),
      passes: passNames(passes),
      errors: errors.map(errorName),
    })),
  }
}

function describeMember(member: Member, { diskGroups }: Superblock): Record<string, unknown> {
  const { alive: _, group, btreeBitmap, dataAllowed, uuid, ...plain } = member
  return {
    ...plain,
    uuid: uuidText(uuid),
    label: group === undefined ? null : (groupPath(diskGroups, group) ?? null),
    dataAllowed: bitNames(BigInt(dataAllowed), DATA_TYPES),
    btreeBitmap: `0x${btreeBitmap.toString(16)}`,
  }
}

/** Options by the format's names; targets as what they name. */
function describeOptions({ options, diskGroups }: Superblock): Record<string, unknown> {
  const described: Record<string, unknown> = {}
  for (const key of Object.keys(OPTIONS) as OptionName[]) described[OPTIONS[key].name] = options[key]
  for (const key of TARGETS) {
    const target = decodeTarget(options[key])
    described[OPTIONS[key].name] =
      target.kind === 'none'
        ? null
        : target.kind === 'device'
          ? { device: target.index }
          : { label: groupPath(diskGroups, target.index) ?? null }
  }
  return described
}

const TARGETS = ['metadataTarget', 'foregroundTarget', 'backgroundTarget', 'promoteTarget'] as const
