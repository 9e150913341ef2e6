module github.com/eks-x509/eks-x509/test/bench

go 1.26.0
