/**
 * count.mjs REPORT STATUS: prints how many tests passed and failed, from vitest's JSON report and exit status. A file that
 * can't be loaded counts as one failure, so does a run that failed without saying where, and so does each skipped test
 * in a file that asks for the referees: here they are required.
 */

import fs from 'node:fs'

/**
 * @typedef {{ name: string, status: string, assertionResults: { status: string, fullName: string }[] }} TestFile
 * @typedef {{ testResults: TestFile[] }} Report
 */

const [reportFile = '', status = '1'] = process.argv.slice(2)
let passed = 0
let failed = 0

/** @param {string} words */
function fault(words) {
  failed++
  process.stderr.write(`== ${words}\n`)
}

if (fs.existsSync(reportFile)) {
  const report = /** @type {Report} */ (JSON.parse(fs.readFileSync(reportFile, 'utf8')))
  for (const file of report.testResults) {
    if (file.assertionResults.length === 0) fault(`no test ran in ${file.name} (${file.status})`)
    const wantsReferee = fs.readFileSync(file.name, 'utf8').includes('referee.available')
    for (const test of file.assertionResults) {
      if (test.status === 'passed') passed++
      else if (test.status === 'failed') fault(`failed: ${test.fullName}`)
      else if (wantsReferee && !/\bsoak\b/i.test(test.fullName)) fault(`skipped without its referee: ${test.fullName}`)
    }
  }
  if (passed === 0) fault('no test passed')
} else {
  fault('the tests gave no report')
}
if (status !== '0' && failed === 0) fault(`the test command failed (${status})`)
process.stdout.write(`${passed} ${failed}\n`)
