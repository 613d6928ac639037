/** What a running mount is doing, as text. */

import type { Inspection } from '@cowherd/mount'
import type { KeptMessage } from './messages.ts'

/** Several lines without an end of line behind the last. */
export function inspectionText(inspection: Inspection, messages: readonly KeptMessage[] = []): string {
  const { directory, source, pid, upSeconds, protocol, engine, openRequests, operations, memoryBytes } = inspection
  const lines = [
    `${source} on ${directory}: process ${pid}, up ${upSeconds.toFixed(0)} s, FUSE 7.${protocol.minor}`,
    `negotiated: ${protocol.features.join(' ')}`,
    `memory: ${mib(memoryBytes.resident)} resident`,
  ]
  const { nodes, openHandles, nodeCache, threads } = engine
  lines.push(
    `threads: ${threads.length}, answered: ${threads.map(({ answered }) => answered).join(' ')}`,
    `nodes: ${nodes.count}, lookups: ${nodes.lookups}, table: ${mib(nodes.bytes)}`,
    `open: ${openHandles.files} files, ${openHandles.directories} directories`,
    `btree nodes: ${nodeCache.nodes} in ${mib(nodeCache.bytes)}; ${nodeCache.hits} hits, ${nodeCache.misses} misses, ` +
      `${nodeCache.evictions} evictions`,
  )
  lines.push(`open requests: ${openRequests.length === 0 ? 'none' : ''}`.trimEnd())
  for (const { operation, node, pid: caller, openMs, deferred, interrupted } of openRequests) {
    const state = `${deferred ? ', deferred' : ''}${interrupted ? ', interrupted' : ''}`
    lines.push(`  ${operation} of node ${node} for process ${caller}, ${openMs.toFixed(0)} ms${state}`)
  }
  lines.push(...table(operations))
  for (const { time, text } of messages) lines.push(`${time} ${text}`)
  return lines.join('\n')
}

const HEAD = ['operation', 'count', 'errors', 'mean us', 'median us', '99% us', 'max us']

function table(operations: Inspection['operations']): string[] {
  const rows = operations.map((each) => [
    each.operation,
    `${each.count}`,
    `${each.errors}`,
    ...[each.meanUs, each.medianUs, each.p99Us, each.greatestUs].map((us) => us.toFixed(0)),
  ])
  const widths = HEAD.map((title, i) => Math.max(title.length, ...rows.map((row) => (row[i] ?? '').length)))
  return [HEAD, ...rows].map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
  )
}

function mib(bytes: number): string {
  return `${(bytes / (1 << 20)).toFixed(1)} MiB`
}
