import '../../support/on-naive.ts'
import '../located.test.ts'
