/**
 * The real Linux as a judge: a virtual machine with kernel 6.12 and its bcachefs driver, under emulation.
 *
 * A boot takes some 15 s, so one boot takes any number of jobs and up to 24 disks:
 *
 *     const { jobs } = await vm({
 *       disks: { plain: '/tmp/plain.img', a: '/tmp/two.0.img', b: '/tmp/two.1.img' },
 *       jobs: [
 *         { name: 'plain', script: 'mount -t bcachefs /disk/plain $MNT && manifest $MNT' },
 *         { name: 'two', script: 'mount -t bcachefs /disk/a:/disk/b $MNT && cp -a $MNT/file .' },
 *       ],
 *     })
 *     jobs['two'].code, jobs['two'].output, jobs['two'].file('file')
 *
 * Scripts run under busybox sh as root, one after another; see guest/job.sh for what they find. What is still mounted
 * below $MNT afterwards is unmounted. One machine runs at a time: others wait.
 */

import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { manifestProgram } from './manifest.ts'
import { needPlace, type Place } from './place.ts'
import { RefereeError } from './run.ts'

export interface Job {
  /** What the result is found by; letters, digits, `-`, `_` and `.`. */
  readonly name: string
  /** Shell script; it ends at the first failing command only if it says `set -e`. */
  readonly script: string
  /** Files to lie in the job's folder, its working directory. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>
  /** The job is killed after so many seconds; 300 by default. */
  readonly seconds?: number
}

export interface MachineOptions {
  /** Images by name; a job finds them as /disk/NAME. They are written to if a job does so. */
  readonly disks?: Readonly<Record<string, string>>
  readonly jobs: readonly Job[]
  /** The machine is stopped after so many seconds; by default 120 more than all jobs may take. */
  readonly seconds?: number
  readonly memoryMiB?: number
}

export interface JobResult {
  readonly name: string
  /** Exit status; 143 when its seconds were up; undefined if the machine went off before the job's end. */
  readonly code: number | undefined
  /** Standard output and standard error. */
  readonly output: string
  /** What the kernel said during the job. */
  readonly kernelLog: string
  /** The job's folder on this side, with the files it left; gone when this process ends. */
  readonly folder: string
  /** A file of the job's folder. */
  file(name: string): Buffer
}

export interface MachineResult {
  /** Version of the guest's kernel. */
  readonly linux: string
  readonly jobs: Readonly<Record<string, JobResult>>
  /** All that came out of the machine's serial port. */
  readonly console: string
}

const DISKS_MAX = 24
const JOB_SECONDS = 300
const BOOT_SECONDS = 120
/** How long to wait for other machines to end before this one starts. */
const TURN_SECONDS = 1800
const DISPATCHER = fileURLToPath(new URL('../guest/job.sh', import.meta.url))

/** Boots a machine, runs the jobs, turns it off. Throws RefereeError if it doesn't come up or takes too long. */
export async function vm(options: MachineOptions): Promise<MachineResult> {
  const place = needPlace()
  const disks = Object.entries(options.disks ?? {})
  checkOptions(options, disks)
  const shared = fs.mkdtempSync(path.join(os.tmpdir(), 'cowherd-vm-'))
  process.once('exit', () => {
    fs.rmSync(shared, { recursive: true, force: true })
  })
  const folders = await fillShared(shared, options.jobs, disks)
  const jobSeconds = options.jobs.reduce((sum, job) => sum + (job.seconds ?? JOB_SECONDS), 0)
  const console = await boot(place, shared, {
    images: disks.map(([, image]) => image),
    memoryMiB: options.memoryMiB ?? 2048,
    seconds: options.seconds ?? BOOT_SECONDS + jobSeconds,
  })
  const linux = /^vm: linux (\S+)/m.exec(console)?.[1]
  if (linux === undefined) throw new RefereeError(`the virtual machine did not come up:\n${console.slice(-4000)}`)
  const results = options.jobs.map((job, index) => resultOf(job.name, folders[index] ?? shared))
  return { linux, console, jobs: Object.fromEntries(results.map((result) => [result.name, result])) }
}

function checkOptions({ jobs }: MachineOptions, disks: readonly (readonly [name: string, image: string])[]): void {
  if (jobs.length === 0) throw new RefereeError('a machine without jobs')
  if (disks.length > DISKS_MAX) throw new RefereeError(`${disks.length} disks; a machine takes ${DISKS_MAX}`)
  const names = [...jobs.map((job) => job.name), ...disks.map(([name]) => name)]
  const odd = names.find((name) => !/^[\w.-]+$/.test(name))
  if (odd !== undefined) throw new RefereeError(`'${odd}' can't be the name of a job or disk`)
  if (new Set(jobs.map((job) => job.name)).size < jobs.length) throw new RefereeError('two jobs of one name')
  for (const [name, image] of disks) {
    if (!fs.existsSync(image)) throw new RefereeError(`no image ${image} for the disk '${name}'`)
  }
}

/** Writes the directory that the guest gets as /job; gives the jobs' folders. */
async function fillShared(
  shared: string,
  jobs: readonly Job[],
  disks: readonly (readonly [name: string, image: string])[],
): Promise<string[]> {
  fs.mkdirSync(path.join(shared, 'bin'))
  fs.copyFileSync(await manifestProgram(), path.join(shared, 'bin', 'manifest'))
  fs.copyFileSync(DISPATCHER, path.join(shared, 'job.sh'))
  fs.writeFileSync(path.join(shared, 'disks'), disks.map(([name]) => `${name}\n`).join(''))
  return jobs.map((job, index) => {
    const folder = path.join(shared, 'jobs', `${String(index).padStart(4, '0')}-${job.name}`)
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(path.join(folder, 'script'), job.script)
    fs.writeFileSync(path.join(folder, 'seconds'), `${job.seconds ?? JOB_SECONDS}\n`)
    for (const [name, content] of Object.entries(job.files ?? {})) fs.writeFileSync(path.join(folder, name), content)
    return folder
  })
}

interface BootOptions {
  readonly images: readonly string[]
  readonly memoryMiB: number
  readonly seconds: number
}

/** Runs the machine to its end; gives what its serial port said. The clock starts with its first word. */
function boot(place: Place, shared: string, { images, memoryMiB, seconds }: BootOptions): Promise<string> {
  const drive = (image: string) => ['-drive', `file=${commas(image)},if=virtio,format=raw,cache=unsafe`]
  const qemu = [
    ...['qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', String(memoryMiB)],
    ...['-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-net', 'none', '-no-reboot'],
    ...['-kernel', place.kernel, '-initrd', place.initrd],
    ...['-append', 'console=ttyS0 quiet panic=-1 mitigations=off'],
    ...images.flatMap(drive),
    ...['-virtfs', `local,path=${commas(shared)},mount_tag=job,security_model=none`],
  ]
  return new Promise((resolve, reject) => {
    const turn = path.join(os.tmpdir(), 'cowherd-vm.lock')
    const machine = spawn('flock', ['--no-fork', turn, ...qemu], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    let failure: RefereeError | undefined
    const stopAfter = (limitSeconds: number) =>
      setTimeout(() => {
        failure = new RefereeError(`the virtual machine took over ${limitSeconds} s:\n${said.slice(-4000)}`)
        machine.kill('SIGKILL')
      }, limitSeconds * 1000)
    let clock = stopAfter(TURN_SECONDS)
    const stop = () => machine.kill('SIGKILL')
    process.once('exit', stop)
    machine.stdout.once('data', () => {
      clearTimeout(clock)
      clock = stopAfter(seconds)
    })
    const hear = (chunk: Buffer) => {
      said += chunk.toString('latin1').replaceAll('\r', '')
    }
    machine.stdout.on('data', hear)
    machine.stderr.on('data', hear)
    machine.on('error', (cause) => {
      failure = new RefereeError("can't start the virtual machine", { cause })
    })
    machine.on('close', () => {
      clearTimeout(clock)
      process.off('exit', stop)
      if (failure === undefined) resolve(said)
      else reject(failure)
    })
  })
}

/** QEMU's options take a comma doubled. */
function commas(file: string): string {
  return path.resolve(file).replaceAll(',', ',,')
}

function resultOf(name: string, folder: string): JobResult {
  const text = (file: string) => {
    const whole = path.join(folder, file)
    return fs.existsSync(whole) ? fs.readFileSync(whole, 'utf8') : ''
  }
  const code = text('code')
  return {
    name,
    code: code === '' ? undefined : Number(code),
    output: text('output'),
    kernelLog: text('dmesg'),
    folder,
    file: (file) => fs.readFileSync(path.join(folder, file)),
  }
}
