// Package repotest holds tests about the tree: which package may import which,
// one package doc each, and no environment, exit or printing outside their
// places. It has no code of its own.
package repotest
