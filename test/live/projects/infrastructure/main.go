// Command infrastructure is what a provisioning tool for several clouds needs.
package main

import (
	_ "cloud.google.com/go/storage"
	_ "github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	_ "github.com/Azure/azure-sdk-for-go/services/compute/mgmt/2022-08-01/compute"
	_ "github.com/aws/aws-sdk-go-v2/config"
	_ "github.com/aws/aws-sdk-go-v2/service/s3"
	_ "github.com/aws/aws-sdk-go/service/ec2"
	_ "github.com/docker/docker/client"
	_ "github.com/hashicorp/consul/api"
	_ "github.com/hashicorp/go-getter"
	_ "github.com/hashicorp/terraform-plugin-framework/provider"
	_ "github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	_ "github.com/hashicorp/vault/api"
	_ "github.com/zclconf/go-cty/cty"
	_ "google.golang.org/api/compute/v1"
)

func main() {}
