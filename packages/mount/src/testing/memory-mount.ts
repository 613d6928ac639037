/** A volume in memory, open for writing and served without a kernel: a test asks as the kernel would, one request after another. */

import { randomFillSync } from 'node:crypto'
import { makeVolume, openDatabase, VolumeError, type Database } from '@cowherd/db'
import { addFirstKeys, fsDatabaseParts, NodeRef, writableFileSystem, type WritableFileSystem } from '@cowherd/fs'
import { AttributeChanges, FuseError, NodeTable, Opcode, ROOT_NODE, SetattrFlag, type Request } from '@cowherd/fuse'
import { nativeCodecs, ThreadRegistry } from '@cowherd/shim'
import { writableMemoryStore } from '@cowherd/store'
import { SOLE_USER_TIMES } from '../caching.ts'
import type { EngineDuties } from '../engine-duties.ts'
import { errnoOf } from '../errno.ts'
import { WritingOperations } from '../writing-operations.ts'
import { FakeRequest, type Answer } from './fake-request.ts'

const MIB = 2 ** 20
const registry = ThreadRegistry.create()
registry.enter()

export interface Caller {
  readonly uid?: number
  readonly gid?: number
  /** False: the caller is gone when the answer comes. */
  readonly isAwaited?: boolean
}

export class MemoryMount {
  readonly disk: Uint8Array
  readonly db: Database
  readonly fs: WritableFileSystem
  readonly nodes: NodeTable
  readonly operations: WritingOperations
  /** What the operations asked the engine for, and noted. */
  readonly duties: string[] = []
  /** What the kernel does when it is to write back. */
  writeBack: NonNullable<EngineDuties['writeBack']> = (_node, _start, _end, then) => then()

  /** On a new volume, or on the one of `disk`. */
  constructor(disk: Uint8Array = blankDisk()) {
    this.disk = disk
    const options = { ...fsDatabaseParts, codecs: nativeCodecs(), random: randomFillSync }
    this.db = openDatabase([writableMemoryStore(disk, 'disk')], options)
    this.fs = writableFileSystem(this.db, { random: randomFillSync })
    const { subvolume, inodeHi, inodeLo } = this.fs.root
    this.nodes = NodeTable.create(subvolume, inodeHi, inodeLo, 1 << 16)
    const tell = (text: string): void => void this.duties.push(text)
    const duties: EngineDuties = {
      sync: (request) => {
        tell('sync')
        request.ok()
      },
      changed: () => undefined,
      work: () => {
        tell('work')
        return true
      },
      shutDown: () => tell('shutDown'),
      note: tell,
      rememberFile: () => undefined,
      dropAttributes: () => undefined,
      writeBack: (node, start, end, then) => this.writeBack(node, start, end, then),
      answer: (waiting, how) => void how((waiting as unknown as FakeRequest).request),
      accessTimes: { ofFiles: true, ofDirectories: true },
    }
    this.operations = new WritingOperations(this.fs, this.nodes, SOLE_USER_TIMES, duties)
  }

  /** Has a request served. Returns its one answer. */
  ask(serve: (operations: WritingOperations, request: Request) => void, caller: Caller = {}, opcode = 0): Answer {
    const fake = new FakeRequest(caller)
    try {
      this.operations.before(opcode)
      serve(this.operations, fake.request)
    } catch (error) {
      const code = error instanceof FuseError ? error.code : errnoOf(error)
      if (code === undefined) throw error
      fake.error(code)
    }
    const [answer, ...others] = fake.answers
    if (answer === undefined || others.length > 0) throw new Error(`${fake.answers.length} answers to one request`)
    return answer
  }

  /** The node of what a request made; throws if it failed. */
  make(serve: (operations: WritingOperations, request: Request) => void, caller: Caller = {}): number {
    const { kind, value } = this.ask(serve, caller)
    if (typeof value !== 'number') throw new Error(`${kind} ${value}`)
    return value
  }

  /** Makes a regular file. Returns its node. */
  file(
    name: string,
    { mode = 0o644, parent = ROOT_NODE, ...caller }: Caller & { mode?: number; parent?: number } = {},
  ): number {
    return this.make((to, request) => to.create(request, parent, bytes(name), O_WRONLY, S_IFREG | mode, 0o22), caller)
  }

  directory(name: string, parent = ROOT_NODE): number {
    return this.make((to, request) => to.mkdir(request, parent, bytes(name), 0o755, 0o22))
  }

  lookup(name: string, parent = ROOT_NODE): Answer {
    return this.ask((to, request) => to.lookup(request, parent, bytes(name)))
  }

  getattr(node: number): Answer {
    return this.ask((to, request) => to.getattr(request, node))
  }

  setattr(node: number, what: readonly (keyof typeof SetattrFlag)[], changes: Partial<AttributeChanges> = {}): Answer {
    const valid = what.reduce((bits, flag) => bits | SetattrFlag[flag], 0)
    const asked = Object.assign(new AttributeChanges(), changes, { valid })
    return this.ask((to, request) => to.setattr(request, node, asked))
  }

  write(node: number, offset: number, data: Uint8Array, flags = 0): Answer {
    return this.ask((to, request) => to.write(request, node, 0, offset, data, flags), {}, Opcode.write)
  }

  read(node: number, offset: number, size: number, flags = 0): Answer {
    return this.ask((to, request) => to.read(request, node, 0, offset, size, flags))
  }

  /** Whether the inode of a node's file is there; the node may have been forgotten. */
  hasInode(words: readonly [number, number, number]): boolean {
    try {
      this.fs.getattr(NodeRef.of(...words), this.fs.newInode())
      return true
    } catch (error) {
      if (error instanceof VolumeError && error.code === 'ENOENT') return false
      throw error
    }
  }

  wordsOf(node: number): [number, number, number] {
    return [this.nodes.word(node, 0), this.nodes.word(node, 1), this.nodes.word(node, 2)]
  }
}

const O_WRONLY = 1
const S_IFREG = 0o100000

/** The bytes of a name. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function blankDisk(): Uint8Array {
  const disk = new Uint8Array(64 * MIB)
  const codecs = nativeCodecs()
  const random = randomFillSync
  makeVolume([{ device: writableMemoryStore(disk, 'disk'), blockBytes: 4096, bucketBytes: 256 << 10 }], {
    ...{ codecs, random, nowNs: BigInt(Date.now()) * 1_000_000n, btreeNodeBytes: 128 << 10 },
    options: {},
    fill: (builder) => addFirstKeys(builder, { codecs, random, strHash: 'siphash' }),
  })
  return disk
}
