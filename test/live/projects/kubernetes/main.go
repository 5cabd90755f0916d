// Command kubernetes is what an operator with a Helm client needs.
package main

import (
	_ "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "helm.sh/helm/v3/pkg/action"
	_ "k8s.io/api/apps/v1"
	_ "k8s.io/apimachinery/pkg/apis/meta/v1"
	_ "k8s.io/client-go/kubernetes"
	_ "sigs.k8s.io/controller-runtime/pkg/client"
)

func main() {}
